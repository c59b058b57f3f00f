import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * The register of servers that tests started, so that one whose test process was killed does not stay for ever.
 *
 * I1  An entry is written as soon as the server has a process id, and removed when it has ended.
 * I2  A server is ended by `sweep` only when the process that started it is gone.
 * I3  A process is known by its id AND its start time: an id that was given to another process is never signalled.
 */
const register = join(tmpdir(), `troupe-test-servers-${userInfo().uid}`);

interface Entry {
  readonly name: string;
  readonly pid: number;
  readonly startedAt: string;
  readonly ownerPid: number;
  readonly ownerStartedAt: string;
  /** Removed with the server when it was left behind. */
  readonly temporaryDir: string | undefined;
}

/** Notes a server of this process. Returns the function that strikes it out again. */
export function registerServer(name: string, pid: number, temporaryDir?: string): () => void {
  const startedAt = startTimeOf(pid);
  const ownerStartedAt = startTimeOf(process.pid);
  if (startedAt === undefined || ownerStartedAt === undefined) return () => undefined;
  mkdirSync(register, { recursive: true, mode: 0o700 });
  const file = join(register, `${name}-${pid}.json`);
  const entry: Entry = { name, pid, startedAt, ownerPid: process.pid, ownerStartedAt, temporaryDir };
  writeFileSync(file, JSON.stringify(entry));
  return () => rmSync(file, { force: true });
}

/** Ends the servers whose test process died without ending them, removes their temporary folders, and returns their names. */
export function sweepLeftBehind(): string[] {
  if (!existsSync(register)) return [];
  const swept: string[] = [];
  for (const name of readdirSync(register)) {
    const file = join(register, name);
    const entry = readEntry(file);
    if (entry === undefined || startTimeOf(entry.ownerPid) === entry.ownerStartedAt) continue;
    if (startTimeOf(entry.pid) === entry.startedAt) {
      process.kill(entry.pid, 'SIGKILL');
      swept.push(`${entry.name} (process ${entry.pid})`);
    }
    if (entry.temporaryDir !== undefined) rmSync(entry.temporaryDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    rmSync(file, { force: true });
  }
  return swept;
}

/** Undefined when another process swept the entry first, or is still writing it. */
function readEntry(file: string): Entry | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Entry;
  } catch {
    return undefined;
  }
}

/** When a process began, in whatever unit the system has; undefined when there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    if (!existsSync('/proc/self/stat')) return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in field 2 may hold spaces and parentheses: count from the last one. Field 22 is the start time.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
