import { open } from 'node:fs/promises';
import { writeWhole } from '../../files/durable.ts';
import type { Clock } from '../../runtime/clock.ts';

/** Something that was done to the running process, or was to be done. Holds no secrets. */
export interface AuditEntry {
  readonly by: 'file' | 'signal' | 'admin';
  /** The file, the signal, the name of the token. */
  readonly who: string;
  readonly address: string | undefined;
  readonly action: 'reload' | 'log-level';
  readonly outcome: 'applied' | 'unchanged' | 'refused';
  /** What changed, or was wrong. */
  readonly detail: object;
}

export interface AuditLog {
  /**
   * Resolves when the line is on disk. Rejects when it is not: then the action must not be done.
   */
  readonly record: (entry: AuditEntry) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Nothing is kept: the log lines alone tell what was done. */
export const NO_AUDIT_LOG: AuditLog = { record: () => Promise.resolve(), close: () => Promise.resolve() };

/**
 * A file of lines of JSON, one for each action; it is only ever added to (O_APPEND), by one line after the other, each fsynced. A line that
 * the disk took in part is ended before the next one, so that it costs itself alone.
 * @throws the system's error when the file cannot be opened for writing.
 */
export async function openAuditLog(path: string, { clock }: { readonly clock: Clock }): Promise<AuditLog> {
  const handle = await open(path, 'a', 0o600);
  let isTorn = false;
  let last: Promise<void> = Promise.resolve();

  async function append(line: string): Promise<void> {
    const whole = `${isTorn ? '\n' : ''}${line}\n`;
    isTorn = true;
    await writeWhole(handle, [Buffer.from(whole)]);
    isTorn = false;
    await handle.sync();
  }

  return {
    record(entry) {
      const line = JSON.stringify({ time: new Date(clock.now()).toISOString(), ...entry });
      const appended = last.then(() => append(line));
      last = appended.catch(() => undefined); // the one who records is told; the next one tries again
      return appended;
    },
    async close() {
      await last;
      await handle.close();
    },
  };
}
