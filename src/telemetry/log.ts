import pino from 'pino';
import type { Clock } from '../runtime/clock.ts';
import { withoutTokens, type LogFields } from './mask-tokens.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type { LogFields };

/** What the names in a line of JSON are. */
export const LOG_FORMATS = ['troupe', 'document'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface LogOptions {
  readonly level: LogLevel | 'silent';
  readonly serviceName: string;
  /** Of a process that is one of several: its number, in every line. */
  readonly worker?: number | undefined;
  readonly clock: Clock;
  /**
   * `troupe`: level, time, service, the fields, message. `document`: level, timestamp, caller, msg, fields, as the capture document has it
   * (spec/capture.md 16.1, row 28). @defaultValue 'troupe'
   */
  readonly format?: LogFormat;
  /** One line for people instead of JSON: for a terminal. Not of the document's format, which is for machines. */
  readonly pretty: boolean;
  /** Where lines go, each with its line end. */
  readonly write: (line: string) => void;
}

export interface Log {
  /**
   * Writes a line. `message` is constant and ends with a full stop; what varies is a field. Of lines with the same level, message and
   * `repeatKey`, one is written in {@link REPEAT_WINDOW_MS}; then one with `repeated`, the number of those that were left out.
   * `caller` is the name of the fact that the line is about. Tokens are masked in all fields.
   * Debug lines are all written, and those whose `repeatKey` is null: of an access log each one counts.
   */
  readonly write: (level: LogLevel, message: string, fields?: LogFields, repeatKey?: string | null, caller?: string) => void;
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
  readonly caller: string;
}

export function createLog({ level, serviceName, worker, clock, pretty, write, format = 'troupe' }: LogOptions): Log {
  const logger = pino(
    {
      level,
      base: format === 'troupe' ? { service: serviceName, ...(worker !== undefined && { worker }) } : null,
      timestamp: () => `,"${format === 'troupe' ? 'time' : 'timestamp'}":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: format === 'troupe' ? 'message' : 'msg',
    },
    { write: pretty && format === 'troupe' ? (line: string) => write(prettyLine(line)) : write },
  );
  const put = (severity: LogLevel, message: string, fields: LogFields, caller: string): void => {
    const safe = withoutTokens(fields);
    logger[severity](format === 'troupe' ? safe : { caller, fields: documentFields(safe) }, message);
  };
  const held = new Map<string, Held>();

  function release(key: string): void {
    const entry = held.get(key);
    held.delete(key);
    if (entry === undefined || entry.repeated === 0) return;
    put(entry.level, entry.message, { ...entry.last, repeated: entry.repeated }, entry.caller);
  }

  return {
    write(severity, message, fields = {}, repeatKey = '', caller = 'log-written') {
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
          held.set(key, { repeated: 0, last: fields, level: severity, message, caller });
          clock.after(REPEAT_WINDOW_MS, () => release(key));
        }
      }
      put(severity, message, fields, caller);
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

/** The document's name for the uuid of an event; the others keep theirs. */
function documentFields({ uuid, eventId = uuid, ...fields }: LogFields): LogFields {
  return eventId === undefined ? fields : { event_id: eventId, ...fields };
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
