import { createClickHouseWriter, type ClickHouseWriterOptions } from '../../../actors/clickhouse-writer/index.ts';
import type { RowWriterMessage } from '../../../actors/row-writer/messages.ts';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import type { ClickHouse } from '../../../src/clickhouse/port.ts';
import type { ActorRef } from '../../../src/runtime/ref.ts';
import type { ActorSystem } from '../../../src/runtime/system.ts';
import { pass, probe, settle, testSystem, type Probe } from '../../kit/actors.ts';
import type { ManualClock } from '../../kit/clock.ts';
import { testSettlement, type TestSettlement } from '../../kit/event-rows.ts';
import {
  createFakeClickHouse,
  createFakeClickHouseServer,
  type ClickHouseFate,
  type FakeClickHouseServer,
} from '../../kit/fake-clickhouse.ts';
import type { BinaryRow } from '../../kit/row-binary-reader.ts';

/** An insert as it was called. */
export interface Called {
  readonly table: string;
  readonly offsets: readonly number[];
  readonly token: string | undefined;
  readonly queryId: string;
}

export interface WriterSetUp {
  readonly system: ActorSystem;
  readonly clock: ManualClock;
  readonly server: FakeClickHouseServer;
  readonly writer: ActorRef<RowWriterMessage>;
  readonly deadLetters: Probe<DeadLetterMessage>;
  readonly settlement: TestSettlement;
  readonly calls: Called[];
  readonly escalated: unknown[];
  readonly warnings: string[];
  readonly control: { mayWrite: boolean };
  settle(): Promise<void>;
  /** Lets what was told be handled, then moves the clock in steps of a second. */
  pass(ms: number): Promise<void>;
  /** Offsets of the events in the table, in the order in which they were stored. */
  stored(): number[];
  /** `offset:outcome` of everything settled, by offset. */
  settled(): string[];
}

export const offsetsOf = (rows: readonly BinaryRow[]): number[] => rows.map((row) => Number(row['_offset']));

/** A writer in a system on a clock that stands still, with a ClickHouse whose fate the test decides. */
export function setUpWriter(fate: ClickHouseFate = {}, options: Partial<ClickHouseWriterOptions> = {}): WriterSetUp {
  const { system, clock } = testSystem();
  const server = createFakeClickHouseServer();
  const calls: Called[] = [];
  const noted: ClickHouseFate = {
    ...fate,
    arrive(call) {
      const { table, deduplicationToken: token, queryId } = call.block;
      calls.push({ table, offsets: offsetsOf(call.rows), token, queryId });
      return fate.arrive?.(call);
    },
  };
  const clickhouse: ClickHouse = createFakeClickHouse(server, noted);
  const deadLetters = probe<DeadLetterMessage>('dead-letter');
  const settlement = testSettlement();
  const warnings: string[] = [];
  const control = { mayWrite: true };
  const escalated: unknown[] = [];
  const spec = createClickHouseWriter({
    clickhouse,
    clock,
    deadLetter: deadLetters,
    warn: (warning) => void warnings.push(warning.type),
    mayWrite: () => control.mayWrite,
    options: { maxRowsCount: 4, maxBytes: 1_000_000, maxAgeMs: 300, mailboxCapacityCount: 1_000, ...options },
    strategy: { directive: 'escalate' },
  });
  const writer = system.spawn(spec, 'clickhouse-writer', undefined, (_ref, error) => escalated.push(error));
  return {
    system,
    clock,
    server,
    writer,
    deadLetters,
    settlement,
    calls,
    escalated,
    warnings,
    control,
    settle: () => settle(system),
    async pass(ms) {
      await settle(system);
      await pass(system, clock, ms, 1_000);
    },
    stored: () => offsetsOf(server.events()),
    settled: () =>
      [...settlement.outcomes]
        .sort(([a], [b]) => a - b)
        .map(([offset, outcome]) => `${offset}:${outcome.type === 'dropped' ? outcome.reason : outcome.type}`),
  };
}
