import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processInfo } from './process.ts';

/**
 * Says that this process uses `dir` and no other may. Returns the function that ends the claim. The claim of a process
 * that is gone (kill -9) is void: it names the start time too, so an id given to another process does not renew it.
 * @throws Error when a living process, or another part of this one, has the claim.
 */
export function claimDir(dir: string): () => void {
  const file = join(dir, 'owner.json');
  const own = JSON.stringify({ pid: process.pid, startedAt: processInfo(process.pid)?.startedAt });
  // Twice: the file may be removed by its owner, or by us because its owner is gone, between the two calls.
  for (let attempt = 0; attempt < 2; attempt++) {
    if (writeNew(file, own)) return () => rmSync(file, { force: true });
    const owner = readOwner(file);
    const holder = owner === undefined ? undefined : processInfo(owner.pid);
    if (owner !== undefined && holder?.startedAt === owner.startedAt && !holder.isZombie) {
      throw new Error(
        `The embedded PostgreSQL in ${dir} is in use by process ${owner.pid}: stop that one, or give this one another data directory.`,
      );
    }
    rmSync(file, { force: true });
  }
  throw new Error(`Another process claimed ${dir} at the same moment: only one can use it.`);
}

function writeNew(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined for a file that is gone or was cut off by a crash while it was written: nobody's claim. */
function readOwner(file: string): { readonly pid: number; readonly startedAt: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { pid: number; startedAt: string };
  } catch {
    return undefined;
  }
}
