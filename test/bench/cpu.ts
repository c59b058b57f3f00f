import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts CPU in ticks of 10 ms. */
const TICK_US = 10_000;

function statOf(
  pid: number,
  thread?: number,
): { readonly ownUs: number; readonly deadChildrenUs: number; readonly parent: number } | undefined {
  let text: string;
  try {
    text = readFileSync(thread === undefined ? `/proc/${pid}/stat` : `/proc/${pid}/task/${thread}/stat`, 'utf8');
  } catch {
    return undefined; // it ended between the listing and the look
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (index: number): number => Number(fields[index] ?? 0);
  return { parent: at(1), ownUs: (at(11) + at(12)) * TICK_US, deadChildrenUs: (at(13) + at(14)) * TICK_US };
}

/** CPU microseconds of a process and of all its children, dead ones included, since they started. */
export function treeCpuUs(pid: number): number {
  const root = statOf(pid);
  if (root === undefined) return 0;
  let sum = root.ownUs + root.deadChildrenUs;
  for (const child of childrenOf(pid)) sum += treeCpuUs(child);
  return sum;
}

/** CPU microseconds of a process's main thread: the rest of {@link ownCpuUs} is the garbage collector, the compiler and libuv. */
export function mainThreadCpuUs(pid: number): number {
  return statOf(pid, pid)?.ownUs ?? 0;
}

/** CPU microseconds of one process without its children. */
export function ownCpuUs(pid: number): number {
  return statOf(pid)?.ownUs ?? 0;
}

export function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const name of readdirSync('/proc')) {
    const child = Number(name);
    if (Number.isInteger(child) && statOf(child)?.parent === pid) children.push(child);
  }
  return children;
}

export function rssMb(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Math.round(Number(match?.[1] ?? 0) / 1024);
}

/** CPU microseconds of the living threads of a process, to the nanosecond: for pieces of work too short for ticks of 10 ms. */
export function threadsCpuUs(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1_000;
}

/** {@link threadsCpuUs} of a process and of its living children. */
export function treeThreadsCpuUs(pid: number): number {
  return childrenOf(pid).reduce((sum, child) => sum + treeThreadsCpuUs(child), threadsCpuUs(pid));
}
