/**
 * The watermarks of one intake, sent to Kafka from time to time, and whenever a revoke asks for it.
 *
 * Invariants
 * C1 One commit is under way at a time.
 * C2 A watermark is committed only under the generation it was reached in.
 * C3 One that failed, or was stale, does not count as committed: the next time the same watermark, or a higher one, is sent.
 */
import type { RecordConsumer } from '../src/kafka/port.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import type { Clock } from '../src/runtime/clock.ts';
import { moveCommitted, reportOutcomes, type Route } from './route.ts';

export interface CommitsParts {
  readonly clock: Clock;
  readonly everyMs: number;
  /** Name of the intake, for log lines. */
  readonly intake: string;
  readonly consumer: Pick<RecordConsumer, 'commit'>;
  /** Those that are open. */
  readonly routes: () => Iterable<Route>;
}

export interface Commits {
  /** Resolves when what had settled when it was called is committed, or that has failed. Never rejects. */
  now(): Promise<void>;
  /** From here on nothing is committed. */
  end(): void;
}

export function createCommits({ clock, everyMs, intake, consumer, routes }: CommitsParts): Commits {
  let isEnded = false;
  let underWay = Promise.resolve();
  let timer = clock.after(everyMs, tick);

  function tick(): void {
    void now().finally(() => {
      if (!isEnded) timer = clock.after(everyMs, tick);
    });
  }

  /** C1 */
  function now(): Promise<void> {
    underWay = underWay.then(commitMoved);
    return underWay;
  }

  async function commitMoved(): Promise<void> {
    const byGeneration = new Map<number, { route: Route; offset: number }[]>();
    for (const route of routes()) {
      reportOutcomes(route);
      const offset = route.ledger.watermark();
      if (offset === route.committed || isEnded) continue;
      const moved = byGeneration.get(route.generation);
      if (moved === undefined) byGeneration.set(route.generation, [{ route, offset }]);
      else moved.push({ route, offset });
    }
    for (const [generation, moved] of byGeneration) {
      const isCommitted = await commitUnder(
        generation,
        moved.map(({ route, offset }) => ({ ...route.partition, offset })),
      );
      if (isCommitted) for (const { route, offset } of moved) moveCommitted(route, offset); // C3
    }
  }

  /** C2. A failure is stated and left to the next tick: the watermark only grows. */
  async function commitUnder(generation: number, offsets: Parameters<RecordConsumer['commit']>[1]): Promise<boolean> {
    try {
      return (await consumer.commit(generation, offsets)) !== 'stale';
    } catch (error) {
      const fields = { intake, generation, error: error instanceof Error ? error.message : 'unknown' };
      stateFact('log-written', { level: 'warn', message: 'A commit failed and is tried again.', fields });
      return false;
    }
  }

  return {
    now,
    end() {
      isEnded = true;
      timer.cancel();
    },
  };
}
