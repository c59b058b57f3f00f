import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What the operating system says of a process id. */
export interface ProcessInfo {
  /** When it began, in whatever unit the system has: with the id, it tells one process from every other. */
  readonly startedAt: string;
  /** Ended, but not yet collected by its parent: it holds nothing, though `kill(pid, 0)` still succeeds. */
  readonly isZombie: boolean;
  /** Command with its arguments, separated by spaces; empty for a zombie. */
  readonly command: string;
}

/** Looks a process up in /proc, or with `ps` where there is none (macOS). Undefined when there is no such process. */
export function processInfo(pid: number): ProcessInfo | undefined {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
}

function fromProc(pid: number): ProcessInfo | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // Field 2, the name, may itself hold spaces and parentheses: count from its last parenthesis. Then come field 3 (state) and on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const command = (readIfThere(`/proc/${pid}/cmdline`) ?? '').replaceAll('\0', ' ').trim();
  return { startedAt: fields[19] ?? '', isZombie: fields[0] === 'Z' || fields[0] === 'X', command };
}

function fromPs(pid: number): ProcessInfo | undefined {
  let line: string;
  try {
    // `lstart` is always 24 characters: Sat Nov 21 10:11:23 2026
    line = execFileSync('ps', ['-o', 'state=,lstart=,command=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return undefined; // ps answers with status 1 when there is no such process
  }
  const [, status = '', startedAt = '', command = ''] = /^(\S+)\s+(.{24})\s*(.*)$/s.exec(line) ?? [];
  return status === '' ? undefined : { startedAt, isZombie: status.startsWith('Z'), command };
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // ENOENT, or ESRCH when the process ended in between
  }
}
