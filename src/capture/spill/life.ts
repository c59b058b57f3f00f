import { readFile, readlink } from 'node:fs/promises';

/** One life of a process, as others on the same volume know it. */
export interface Life {
  /** Pod, host: whatever tells this process's place from those of others. */
  readonly instance: string;
  readonly pid: number;
  /** The boot and the pid namespace in which `pid` means something; empty where the system does not tell. */
  readonly space: string;
  /** Kernel ticks at which the process began: pids are given out again. */
  readonly birth: string;
  /** For so long it may be silent before others may take its segments. */
  readonly leaseMs: number;
}

/** What this process is. */
export async function thisLife(instance: string, leaseMs: number): Promise<Life> {
  return { instance, pid: process.pid, space: await spaceHere(), birth: (await birthOf(process.pid)) ?? '', leaseMs };
}

/**
 * What can be known without waiting: of a process that counts its pids as we do, whether it runs. Every container has a pid 1, so of a process
 * in another namespace (or machine) only its signs of life tell.
 */
export async function fateOf(life: Life, here: string): Promise<'alive' | 'dead' | 'unknown'> {
  if (here === '' || life.space !== here || life.birth === '') return 'unknown';
  return (await birthOf(life.pid)) === life.birth ? 'alive' : 'dead';
}

export async function spaceHere(): Promise<string> {
  try {
    const [boot, pids] = await Promise.all([readFile('/proc/sys/kernel/random/boot_id', 'utf8'), readlink('/proc/self/ns/pid')]);
    return `${boot.trim()}/${pids}`;
  } catch {
    return ''; // not Linux: signs of life alone tell
  }
}

/** Undefined when there is no such process, or only its remains. */
async function birthOf(pid: number): Promise<string | undefined> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command, in brackets, may hold anything: fields are counted behind its last bracket. The third is the state, the 22nd the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Reads the owner file. Undefined when it is none. */
export function parseLife(text: string): Life | undefined {
  try {
    const life = JSON.parse(text) as Life;
    return typeof life.instance === 'string' && typeof life.leaseMs === 'number' ? life : undefined;
  } catch {
    return undefined;
  }
}
