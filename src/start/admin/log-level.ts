import { state } from '../../observe/facts.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../telemetry/log.ts';

export type Level = ReturnType<Log['level']>;
export const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error', 'silent'];

/**
 * Which lines are written, at run time (spec/capture.md 16.1, row 27): as the settings say, or as somebody wants it for a while. Then it is
 * as the settings say again, also when those have changed meanwhile: nobody has to think of turning `debug` off.
 */
export interface LogLevel {
  readonly report: () => { readonly level: Level; readonly configured: Level; readonly until: string | undefined };
  /** `forMs` undefined: until the next one, or the end of the process. */
  readonly override: (level: Level, forMs: number | undefined) => void;
  /** The settings say so from now on. */
  readonly configure: (level: Level) => void;
  readonly close: () => void;
}

export function createLogLevel(log: Pick<Log, 'level' | 'setLevel'>, clock: Clock): LogLevel {
  let configured = log.level();
  let wish: { readonly level: Level; readonly untilMs: number | undefined; readonly timer: Timer | undefined } | undefined;

  function put(): void {
    const level = wish?.level ?? configured;
    if (level === log.level()) return;
    log.setLevel(level);
    state('log-level-changed', { level, isConfigured: wish === undefined });
  }
  function end(): void {
    wish?.timer?.cancel();
    wish = undefined;
    put();
  }

  return {
    report: () => {
      const untilMs = wish?.untilMs;
      return { level: log.level(), configured, until: untilMs === undefined ? undefined : new Date(untilMs).toISOString() };
    },
    override(level, forMs) {
      wish?.timer?.cancel();
      wish =
        forMs === undefined
          ? { level, untilMs: undefined, timer: undefined }
          : { level, untilMs: clock.now() + forMs, timer: clock.after(forMs, end) };
      put();
    },
    configure(level) {
      configured = level;
      put();
    },
    close: () => void wish?.timer?.cancel(),
  };
}
