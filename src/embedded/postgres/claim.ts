import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processInfo } from './process.ts';

interface Owner {
  readonly pid: number;
  readonly startedAt: string | undefined;
  /** Start times count from the boot: after another one they may come out the same, on machines that boot to one program. */
  readonly boot: string | undefined;
}

/**
 * Says that this process uses `dir` and no other may. Returns the function that ends the claim. The claim of a process
 * that is gone (kill -9) is void: it names start time and boot too, so an id given to another process does not renew it.
 * @throws Error when a living process, or another part of this one, has the claim.
 */
export function claimDir(dir: string): () => void {
  const file = join(dir, 'owner.json');
  const own: Owner = { pid: process.pid, startedAt: processInfo(process.pid)?.startedAt, boot: bootId() };
  const draft = join(dir, `owner-${process.pid}.json`);
  writeFileSync(draft, JSON.stringify(own));
  try {
    // Twice: between the two calls the file may be removed, by its owner, or here because its owner is gone.
    for (let attempt = 0; attempt < 2; attempt++) {
      if (linkNew(draft, file)) return () => rmSync(file, { force: true });
      const owner = readOwner(file);
      if (owner !== undefined && isAlive(owner)) {
        throw new Error(
          `The embedded PostgreSQL in ${dir} is in use by process ${owner.pid}: stop that one, or give this one another data directory.`,
        );
      }
      rmSync(file, { force: true });
    }
    throw new Error(`Another process claimed ${dir} at the same moment: only one can use it.`);
  } finally {
    rmSync(draft, { force: true });
  }
}

function isAlive(owner: Owner): boolean {
  const info = processInfo(owner.pid);
  return info !== undefined && !info.isZombie && info.startedAt === owner.startedAt && owner.boot === bootId();
}

function bootId(): string | undefined {
  const file = '/proc/sys/kernel/random/boot_id';
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
}

/** A link appears with its whole text or not at all: nobody reads half a claim. */
function linkNew(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined for a file that is gone, or that a power cut emptied: nobody's claim. */
function readOwner(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}
