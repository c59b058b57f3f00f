import type { ClickHouse } from '../../src/clickhouse/port.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { Warning } from '../redis-buffer/messages.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';

export interface ClickHouseWriterDeps {
  readonly clickhouse: ClickHouse;
  readonly clock: Clock;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  /** Tells a team about its own data (O-4). */
  readonly warn: (warning: Warning) => void;
  /** False when the last heartbeat of the partition's owner is older than the margin, or the generation is over. */
  readonly mayInsert: (topic: string, partition: number, generation: number) => boolean;
  readonly options: ClickHouseWriterOptions;
  readonly strategy: Strategy;
}

export interface ClickHouseWriterOptions {
  /** A block is stored when it has so many rows, so many bytes, or a row this old. */
  readonly maxRowsCount: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly mailboxCapacityCount: number;
  /** @defaultValue 16 MiB */
  readonly maxRowBytes?: number;
  /** @defaultValue 100, as max_partitions_per_insert_block */
  readonly maxTablePartitionsCount?: number;
  /** How long a stop may go on trying to store what is left. @defaultValue 10,000 ms */
  readonly stopFlushMs?: number;
}
