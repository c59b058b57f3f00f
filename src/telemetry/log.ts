import pino from 'pino';
import type { Clock } from '../runtime/clock.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

export interface LogOptions {
  readonly level: LogLevel | 'silent';
  readonly serviceName: string;
  readonly clock: Clock;
  /** One line for people instead of JSON: for a terminal. */
  readonly pretty: boolean;
  /** Where lines go, each with its line end. */
  readonly write: (line: string) => void;
}

export interface Log {
  /**
   * Writes a line. `message` is constant and ends with a full stop; what varies is a field. Of lines with the same level, message and
   * `repeatKey`, one is written in {@link REPEAT_WINDOW_MS}; then one with `repeated`, the number of those that were left out.
   * Debug lines are all written, and those whose `repeatKey` is null: of an access log each one counts.
   */
  readonly write: (level: LogLevel, message: string, fields?: LogFields, repeatKey?: string | null) => void;
  readonly level: () => LogLevel | 'silent';
  /** From the next line on. */
  readonly setLevel: (level: LogLevel | 'silent') => void;
  /** Writes the counts that are still held back. */
  readonly stop: () => void;
}

export const REPEAT_WINDOW_MS = 10_000;
/** Messages are constant, so there are few keys; the bound is for a caller that breaks that rule. Beyond it lines are written unlimited. */
const REPEAT_KEYS_LIMIT = 1_000;

interface Held {
  repeated: number;
  last: LogFields;
  readonly level: LogLevel;
  readonly message: string;
}

export function createLog({ level, serviceName, clock, pretty, write }: LogOptions): Log {
  const logger = pino(
    {
      level,
      base: { service: serviceName },
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    { write: pretty ? (line: string) => write(prettyLine(line)) : write },
  );
  const held = new Map<string, Held>();

  function release(key: string): void {
    const entry = held.get(key);
    held.delete(key);
    if (entry === undefined || entry.repeated === 0) return;
    logger[entry.level]({ ...entry.last, repeated: entry.repeated }, entry.message);
  }

  return {
    write(severity, message, fields = {}, repeatKey = '') {
      if (!logger.isLevelEnabled(severity)) return;
      if (severity !== 'debug' && repeatKey !== null) {
        const key = `${severity}\n${message}\n${repeatKey}`;
        const entry = held.get(key);
        if (entry !== undefined) {
          entry.repeated++;
          entry.last = fields;
          return;
        }
        if (held.size < REPEAT_KEYS_LIMIT) {
          held.set(key, { repeated: 0, last: fields, level: severity, message });
          clock.after(REPEAT_WINDOW_MS, () => release(key));
        }
      }
      logger[severity](fields, message);
    },
    level: () => logger.level as LogLevel | 'silent',
    setLevel(next) {
      logger.level = next;
    },
    stop() {
      for (const key of [...held.keys()]) release(key);
    },
  };
}

const HIDDEN = new Set(['level', 'time', 'message', 'service']);

/** `12:00:01.250 WARN  Message. key=value`: what a person reads on a terminal. */
function prettyLine(json: string): string {
  const line = JSON.parse(json) as { level: string; time: string; message: string } & Record<string, unknown>;
  const fields = Object.entries(line)
    .filter(([name]) => !HIDDEN.has(name))
    .map(([name, value]) => ` ${name}=${typeof value === 'string' && !/[\s"=]/.test(value) ? value : JSON.stringify(value)}`);
  return `${line.time.slice(11, 23)} ${line.level.toUpperCase().padEnd(5)} ${line.message}${fields.join('')}\n`;
}
