/**
 * Chance and trouble between processes and outside systems: how long each way takes, what gets lost, when a process dies.
 * All of it comes from one seeded random, and all of it is written to the trace.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../src/runtime/clock.ts';
import type { SeededRandom } from '../../kit/clock.ts';

export type System = 'kafka' | 'producer' | 'postgres' | 'clickhouse' | 'state-store' | 'sandbox';

/** What becomes of one call. */
export interface Fate {
  readonly requestMs: number;
  readonly answerMs: number;
  readonly isAway: boolean;
  readonly isLost: boolean;
  /** The caller dies: when the request arrives, when it is applied, or never. */
  readonly crash: 'before' | 'after' | undefined;
}

export interface Trouble {
  /** Share of calls that never arrive, and of answers that never come, while no outage is on. */
  readonly awayRatio: number;
  readonly lostRatio: number;
  /** Share of calls during which the caller dies. */
  readonly crashRatio: number;
  /** Share of calls that take up to `slowMs` instead of a few ms. */
  readonly slowRatio: number;
  readonly slowMs: number;
}

export const NO_TROUBLE: Trouble = { awayRatio: 0, lostRatio: 0, crashRatio: 0, slowRatio: 0, slowMs: 0 };

export interface Network {
  readonly random: SeededRandom;
  readonly clock: Clock;
  trouble: Trouble;
  /** A system is away until then. */
  outage(system: System, forMs: number): void;
  endOutages(): void;
  isAway(system: System): boolean;
  fate(caller: string, system: System, what: string): Fate;
  note(line: string): void;
  readonly trace: { readonly hash: () => string; readonly lines: readonly string[] };
}

/** Writes after which another system has yet to be told: a process dies there more often than elsewhere, for that is where it matters. */
const riskOf = (what: string): number => (what.startsWith('merge ') ? 60 : /^(create|addDistinctIds|commit)/.test(what) ? 15 : 1);

/** Lines of the trace that are kept for a person to read; all of them are hashed. */
const KEPT_LINES = 60_000;

export function createNetwork(random: SeededRandom, clock: Clock): Network {
  const awayUntil = new Map<System, number>();
  const hash = createHash('sha1');
  const lines: string[] = [];

  const isAway = (system: System): boolean => (awayUntil.get(system) ?? 0) > clock.monotonic();

  function note(line: string): void {
    const stamped = `${Math.round(clock.monotonic() * 1000) / 1000} ${line}`;
    hash.update(stamped).update('\n');
    if (lines.length < KEPT_LINES) lines.push(stamped);
  }

  function delayMs(): number {
    const { slowRatio, slowMs } = network.trouble;
    return random.next() < slowRatio ? random.next() * slowMs : 0.2 + random.next() * 4;
  }

  const network: Network = {
    random,
    clock,
    trouble: NO_TROUBLE,
    outage: (system, forMs) => void awayUntil.set(system, clock.monotonic() + forMs),
    endOutages: () => awayUntil.clear(),
    isAway,
    fate(caller, system, what) {
      const { awayRatio, lostRatio, crashRatio } = network.trouble;
      const away = isAway(system) || random.next() < awayRatio;
      const crash = random.next() < crashRatio * riskOf(what) ? (random.next() < 0.5 ? 'before' : 'after') : undefined;
      const fate: Fate = { requestMs: delayMs(), answerMs: delayMs(), isAway: away, isLost: random.next() < lostRatio, crash };
      note(`${caller} ${what} ${fate.isAway ? 'away' : fate.isLost ? 'lost' : 'ok'}${crash === undefined ? '' : ` crash-${crash}`}`);
      return fate;
    },
    note,
    trace: { hash: () => hash.copy().digest('hex'), lines },
  };
  return network;
}
