import { messageOf } from '../domain/strings.ts';
import type { LedgerSnapshot } from '../kafka/ledger.ts';
import type { TopicAdmin } from '../kafka/port.ts';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';

/**
 * Measures how far behind our partitions are, by asking the brokers where each ends. What a fetch tells is not enough: a partition that
 * waits is not fetched, and its lag would seem to stand still just when it grows.
 */
export interface LagWatch {
  stop(): void;
}

export interface LagWatchOptions {
  /** The partitions of now. */
  readonly ledgers: () => readonly Pick<LedgerSnapshot, 'topic' | 'partition' | 'watermark'>[];
  readonly admin: Pick<TopicAdmin, 'endOffsets'>;
  readonly clock: Clock;
  /** Raising it makes alerts later, lowering it costs a request per topic. @defaultValue 10,000 ms */
  readonly everyMs?: number;
}

export function startLagWatch({ ledgers, admin, clock, everyMs = 10_000 }: LagWatchOptions): LagWatch {
  let stopped = false;
  let timer = clock.after(everyMs, tick);

  function tick(): void {
    void measure().then(() => {
      if (!stopped) timer = clock.after(everyMs, tick);
    });
  }

  async function measure(): Promise<void> {
    for (const topic of new Set(ledgers().map((ledger) => ledger.topic))) {
      try {
        const ends = new Map((await admin.endOffsets(topic)).map(({ partition, offset }) => [partition, offset]));
        if (stopped) return;
        // Read again: a partition may have been lost while we asked, and is another's to speak of.
        for (const { topic: of, partition, watermark } of ledgers()) {
          const end = of === topic ? ends.get(partition) : undefined;
          if (end !== undefined) state('router-lag-measured', { topic, partition, lag: Math.max(0, end - watermark) });
        }
      } catch (error) {
        const fields = { topic, error: messageOf(error) };
        state('log-written', { level: 'warn', message: 'The end of a topic could not be asked for; its lag is as of before.', fields });
      }
    }
  }

  return {
    stop() {
      stopped = true;
      timer.cancel();
    },
  };
}
