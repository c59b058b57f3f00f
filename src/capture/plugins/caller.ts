import { messageOf } from '../../domain/strings.ts';
import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { PluginKind } from './plugin.ts';

export interface CallerOptions {
  /** Its name: a label of metrics. */
  readonly plugin: string;
  readonly kind: PluginKind;
  /** For all calls of one {@link Session} together. */
  readonly timeoutMs: number;
  /** How long a plugin is left alone that failed again and again. */
  readonly pauseMs: number;
  readonly clock: Clock;
}

export type Called<T> = { readonly type: 'done'; readonly value: T } | { readonly type: 'failed' };

/** The calls of a plugin for one request: they share its time. */
export interface Session {
  readonly signal: AbortSignal;
  /** Never rejects. What `read` throws is the plugin's failure too. */
  run<T>(work: () => unknown, read: (given: unknown) => T): Promise<Called<T>>;
  /** Its time does not matter any more, and what it did is told. */
  end(): void;
}

export interface PluginCaller {
  /** @param withinMs less than its own time, where the request has no more. */
  begin(withinMs?: number): Session;
}

/** So many sessions with a failure in a row, and a plugin is left alone. */
const FAILURES_COUNT = 5;
/** Of what a plugin says, in facts and so in the log: an author may put an event into it. */
const MAX_MESSAGE_CHARACTERS = 500;

/**
 * Role: calls one plugin within its time, and leaves it alone for a while when it fails again and again.
 *
 *     called ──5 failures in a row──▶ suspended ──pauseMs──▶ tried, one call ──well──▶ called
 *                                         ▲                        ╰──failed──╮
 *                                         ╰───────────────────────────────────╯
 *
 * G1 A call ends within its time, whatever promise the plugin gave. (One that computes without end stops the process: docs/adr/0024.)
 * G2 A failure stays with its call: it is an outcome, stated by name, never a rejection.
 * G3 A suspended plugin is not called; after the pause it is by one at a time, until that went well.
 * G4 A session counts as one failure, however many of its calls failed: one request with bad events is no outage of a plugin. A call that
 *    went well begins the count anew.
 * G5 What comes after the time of a call is nobody's any more.
 */
export function createCaller({ plugin, kind, timeoutMs, pauseMs, clock }: CallerOptions): PluginCaller {
  let failuresInARow = 0;
  let suspendedUntilMs: number | undefined;
  let isTrying = false;

  const isSuspended = (): boolean => suspendedUntilMs !== undefined && (isTrying || clock.monotonic() < suspendedUntilMs);

  function well(): void {
    failuresInARow = 0;
    if (suspendedUntilMs === undefined) return;
    suspendedUntilMs = undefined;
    state('capture-plugin-resumed', { plugin, kind });
  }

  function failed(why: 'error' | 'timeout', message: string, { isTrial, isFirst }: Weight): { readonly type: 'failed' } {
    state('capture-plugin-failed', { plugin, kind, why, message: message.slice(0, MAX_MESSAGE_CHARACTERS) });
    if (isFirst) failuresInARow++; // G4
    // Others that were at work when it was suspended change nothing.
    if (isTrial || (suspendedUntilMs === undefined && failuresInARow >= FAILURES_COUNT)) {
      suspendedUntilMs = clock.monotonic() + pauseMs;
      state('capture-plugin-suspended', { plugin, kind, failures: failuresInARow, pauseMs });
    }
    return { type: 'failed' };
  }

  return {
    begin(withinMs = timeoutMs) {
      const limitMs = Math.min(withinMs, timeoutMs);
      const begunMs = clock.monotonic();
      const counts = { done: 0, failed: 0, skipped: 0 };
      const controller = new AbortController();
      const { promise: expiry, resolve: expire } = Promise.withResolvers<typeof EXPIRED>();
      let isExpired = false;
      let hasFailed = false;
      const limit = clock.after(limitMs, () => {
        isExpired = true;
        controller.abort();
        expire(EXPIRED);
      });

      async function attempt<T>(work: () => unknown, read: (given: unknown) => T, weight: Weight): Promise<Called<T>> {
        try {
          const given = work();
          const value = isThenable(given) ? await Promise.race([given, expiry]) : given; // G1, G5
          if (value === EXPIRED) return failed('timeout', `no answer within ${limitMs} ms`, weight);
          const result = read(value);
          well();
          return { type: 'done', value: result };
        } catch (error) {
          return failed('error', messageOf(error), weight); // G2
        }
      }

      return {
        signal: controller.signal,
        async run(work, read) {
          // What is left of a session whose time is over was not tried: the plugin's one failure is counted.
          if (isExpired || isSuspended()) {
            counts.skipped++;
            return { type: 'failed' };
          }
          const isTrial = suspendedUntilMs !== undefined;
          if (isTrial) isTrying = true; // G3
          const called = await attempt(work, read, { isTrial, isFirst: !hasFailed });
          hasFailed ||= called.type === 'failed';
          if (isTrial) isTrying = false;
          counts[called.type]++;
          return called;
        },
        end() {
          limit.cancel();
          state('capture-plugin-called', { plugin, kind, ...counts, durationMs: clock.monotonic() - begunMs });
        },
      };
    },
  };
}

/** What a failure counts for. */
interface Weight {
  /** Of a plugin that was suspended: it is suspended again. */
  readonly isTrial: boolean;
  readonly isFirst: boolean;
}

const EXPIRED = Symbol('the time of a call is over');

const isThenable = (given: unknown): given is PromiseLike<unknown> =>
  typeof given === 'object' && given !== null && 'then' in given && typeof given.then === 'function';
