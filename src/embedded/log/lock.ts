import { link, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Who holds the directory: a pid alone is not a name, since pids are given out again after a crash or a reboot. */
interface Holder {
  readonly pid: number;
  /** Kernel ticks at which the process began, and the boot it belongs to; empty where /proc does not tell. */
  readonly birth: string;
}

/**
 * Takes `dir` for this process. The lock of a process that is gone is taken over. Pids are those of one machine and one
 * container: a directory that several of them mount is not protected from each other by this. Resolves to the function that gives
 * it back. @throws Error naming the holder's pid when another process (or this one, already) has the directory open.
 */
export async function lockDirectory(dir: string): Promise<() => Promise<void>> {
  const path = join(dir, 'lock');
  const mine: Holder = { pid: process.pid, birth: await birthOf(process.pid) };
  const draft = join(dir, `lock.${process.pid}.${process.hrtime.bigint()}`);
  await writeFile(draft, JSON.stringify(mine));
  try {
    for (;;) {
      // link() fails when the name exists, and what it makes visible is whole: no reader sees a half-written lock.
      if (await succeeds(link(draft, path), 'EEXIST')) break;
      const found = await readFile(path, 'utf8').catch(() => undefined);
      if (found === undefined) continue;
      const holder = JSON.parse(found) as Holder;
      if (await isAlive(holder)) {
        const who = holder.pid === process.pid ? `this process (pid ${holder.pid})` : `the process with pid ${holder.pid}`;
        throw new Error(`the embedded log in ${dir} is in use by ${who}: stop it, or choose another directory`);
      }
      await removeStale(path, found, draft);
    }
  } finally {
    await unlink(draft);
  }
  return () => rm(path, { force: true });
}

/** Removes the stale lock unless somebody replaced it meanwhile: what was moved aside is looked at again. */
async function removeStale(path: string, stale: string, draft: string): Promise<void> {
  const aside = `${draft}.stale`;
  if (!(await succeeds(rename(path, aside), 'ENOENT'))) return;
  if ((await readFile(aside, 'utf8')) !== stale) await succeeds(link(aside, path), 'EEXIST');
  await unlink(aside);
}

async function isAlive(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return holder.birth === (await birthOf(holder.pid));
}

async function birthOf(pid: number): Promise<string> {
  try {
    const [boot, stat] = await Promise.all([readFile('/proc/sys/kernel/random/boot_id', 'utf8'), readFile(`/proc/${pid}/stat`, 'utf8')]);
    // The command, in brackets, may hold anything: count fields after the last bracket. Field 3 is the state, 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const gone = fields[0] === 'Z' || fields[0] === 'X';
    return gone ? 'gone' : `${boot.trim()}/${fields[19] ?? ''}`;
  } catch {
    return '';
  }
}

async function succeeds(step: Promise<unknown>, unless: string): Promise<boolean> {
  try {
    await step;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === unless) return false;
    throw error;
  }
}
