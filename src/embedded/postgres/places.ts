import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isOpenToAll } from './binaries.ts';

/** Debian's, Alpine's and Red Hat's "nobody": there in every image, no useradd needed. */
const NOBODY = 65_534;
/** `sun_path` holds 108 bytes with the final zero on Linux, 104 on macOS; the smaller one minus "/.s.PGSQL.5432.lock". */
const SOCKET_DIR_MAX_BYTES = 103 - '/.s.PGSQL.5432.lock'.length;

export interface Places {
  /** Holds all the others, except a socket whose path would be too long. */
  readonly root: string;
  /** PGDATA. */
  readonly data: string;
  readonly socketDir: string;
  /** The user to run as: PostgreSQL refuses to be root. Empty when we are not. */
  readonly ids: { readonly uid?: number; readonly gid?: number };
}

/**
 * Makes the folders of an embedded server. When we are root, they belong to nobody; and when `dataDir` lies where
 * nobody may not go (a home folder with mode 0700), they are made below /var/lib/troupe, and `dataDir` gets a file
 * `MOVED` that says where.
 */
export function makePlaces(dataDir: string): Places {
  const asked = resolve(dataDir);
  mkdirSync(asked, { recursive: true });
  const isRoot = process.getuid?.() === 0;
  let root = asked;
  if (isRoot && !isOpenToAll(resolve(asked, '..'))) {
    root = `/var/lib/troupe/postgres-${shortHash(asked)}`;
    mkdirSync(root, { recursive: true });
    chmodSync('/var/lib/troupe', 0o755); // whatever the umask
    writeFileSync(join(asked, 'MOVED'), `${root}\n`);
  }
  const ids: Places['ids'] = isRoot ? ownerOf(root) : {};
  const socketDir =
    Buffer.byteLength(join(root, 'run')) <= SOCKET_DIR_MAX_BYTES ? join(root, 'run') : join(shortTmp(), `troupe-pg-${shortHash(root)}`);
  for (const dir of [root, socketDir]) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (ids.uid !== undefined && ids.gid !== undefined) chownSync(dir, ids.uid, ids.gid);
    else assertOwn(dir);
    chmodSync(dir, 0o700);
  }
  return { root, data: join(root, 'data'), socketDir, ids };
}

/** Data that an earlier run made as an ordinary user keep their owner. */
function ownerOf(root: string): { readonly uid: number; readonly gid: number } {
  const { uid, gid } = statSync(root);
  return uid === 0 ? { uid: NOBODY, gid: NOBODY } : { uid, gid };
}

/** A folder below /tmp may have been put there by somebody else, who would then own our socket. */
function assertOwn(dir: string): void {
  const { uid } = statSync(dir);
  if (uid !== process.getuid?.()) throw new Error(`${dir} belongs to user ${uid}, not to us: remove it or choose another data directory.`);
}

function shortTmp(): string {
  return Buffer.byteLength(tmpdir()) <= 40 ? tmpdir() : '/tmp';
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}
