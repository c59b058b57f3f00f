import { messageOf } from '../domain/strings.ts';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './postgres.ts';

/** Waits between starts: doubling from the first to the last, which is then kept. */
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 10_000;

/**
 * An embedded server that is started again whenever it ends unasked (killed for memory, a crash). Its connection string
 * stays the same, so that a pool connects again by itself; until then its calls are 'unavailable'.
 *
 *     running ──ends unasked──▶ pausing ──▶ starting ──▶ running
 *                                  ▲            │ fails: a longer pause
 *                                  └────────────┘          (any) ──stop──▶ stopped
 *
 * I1  After `stop` has resolved no server runs and none will be started.
 * I2  A server that never comes back is tried for ever: its owner sees lag, and the facts say why.
 */
export interface KeptPostgres {
  readonly connectionString: string;
  /** Of the server that runs now; undefined between two. */
  readonly pid: () => number | undefined;
  readonly stop: () => Promise<void>;
}

/** @throws Error when the first start fails: later ones are retried. */
export async function keepEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<KeptPostgres> {
  let running: EmbeddedPostgres | undefined = await startEmbeddedPostgres(options);
  const { connectionString } = running;
  const stopping = new AbortController();

  async function keep(): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (!stopping.signal.aborted) {
      if (running === undefined) {
        await pause(options.clock, pauseMs, stopping.signal);
        running = stopping.signal.aborted ? undefined : await startOrSay(options);
        pauseMs = running === undefined ? Math.min(pauseMs * 2, LAST_PAUSE_MS) : FIRST_PAUSE_MS;
      } else {
        const { lastWords } = await running.exited;
        running = undefined;
        if (!stopping.signal.aborted) state('embedded-postgres-ended', { lastWords });
      }
    }
  }
  const kept = keep();

  return {
    connectionString,
    pid: () => running?.pid,
    async stop() {
      stopping.abort();
      await running?.stop();
      await kept;
      await running?.stop(); // a start that was under way has been let through
    },
  };
}

async function startOrSay(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres | undefined> {
  try {
    return await startEmbeddedPostgres(options);
  } catch (error) {
    state('embedded-postgres-ended', { lastWords: messageOf(error) });
    return undefined;
  }
}

function pause(clock: Clock, pauseMs: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(pauseMs, resolve);
    until.addEventListener('abort', () => (timer.cancel(), resolve()), { once: true });
  });
}
