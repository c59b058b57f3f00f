import { createEventBlock, createSideBlocks } from '../../src/clickhouse/block-builder.ts';
import { ClickHouseError, type Block, type ClickHouse, type OffsetRange } from '../../src/clickhouse/port.ts';
import { ENCODERS } from '../../src/clickhouse/rows.ts';
import type { TopicPartition } from '../../src/domain/ids.ts';
import { isNamed } from '../../src/domain/insert-id.ts';
import { readRowBinary, type BinaryRow } from './row-binary-reader.ts';

/** One insert, as its fate is decided. */
export interface InsertCall {
  readonly block: Block;
  readonly rows: readonly BinaryRow[];
}

/**
 * Decides what becomes of each call, so that a simulation owns every interleaving:
 *
 *     called ──arrive──▶ running ──part──▶ stored, table partition by table partition ──answer──▶ resolved
 *
 * Each may wait as long as it likes; absent ones do nothing.
 */
export interface ClickHouseFate {
  /** Rejects: the insert was never begun, and the rejection is its answer. */
  arrive?(call: InsertCall): Promise<void> | void;
  /** A reason to refuse this row, and with it the whole block (code 27). */
  refuses?(row: BinaryRow, table: string): string | undefined;
  /**
   * Before each table partition of a block is stored. Rejects: this part and those after it are not stored, and the rejection
   * is the answer. Resolves 'lost': the engine dies with the token noted and the rows not (delivery.md section 3).
   */
  part?(call: InsertCall, index: number): Promise<void | 'lost'> | void | 'lost';
  /** Rejects: all was stored, and the answer is lost. */
  answer?(call: InsertCall): Promise<void> | void;
  /** Rejects: whoever called gave up with this error, while the insert goes on (a zombie). Settles at any time, or never. */
  abandon?(call: InsertCall): Promise<never> | undefined;
  /** Before a question is answered; rejects: there is no answer. */
  question?(operation: 'storedOffsets' | 'storedAmong' | 'killInserts' | 'ping'): Promise<void> | void;
}

interface RunningInsert {
  readonly id: string;
  isKilled: boolean;
  hasBegun: boolean;
  readonly ended: Promise<void>;
}

/** What several fake clients share, as several processes share one server. */
export interface FakeClickHouseServer {
  /** Visible rows, by table, in the order in which they were stored. */
  readonly tables: Map<string, BinaryRow[]>;
  /** `token/part`, as the engine's log of tokens knows them. */
  readonly tokens: Set<string>;
  readonly running: Set<RunningInsert>;
  /** Collapses equal sorting keys of `events`, as a merge may do at any time. */
  merge(): void;
  /** The engine dies: what runs ends where it is, and its callers hear of a cut connection. */
  crash(): void;
  /** Events visible to a reader. */
  events(): readonly BinaryRow[];
}

export function createFakeClickHouseServer(): FakeClickHouseServer {
  const tables = new Map<string, BinaryRow[]>();
  const running = new Set<RunningInsert>();
  const events = (): BinaryRow[] => tables.get('events') ?? [];
  return {
    tables,
    tokens: new Set(),
    running,
    events,
    crash() {
      for (const insert of running) insert.isKilled = true;
    },
    merge() {
      tables.set('events', collapsed(events()));
    },
  };
}

/** A ClickHouse in memory; it knows rows and no SQL. Passes the contract suite of the real one. */
export function createFakeClickHouse(server = createFakeClickHouseServer(), fate: ClickHouseFate = {}): ClickHouse {
  function insert(block: Block): Promise<void> {
    // What is in flight has left: the caller may fill its buffer again after an abandoned call.
    const sent = { ...block, body: Buffer.from(block.body) };
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const running: RunningInsert = { id: block.queryId, isKilled: false, hasBegun: false, ended };
    server.running.add(running);
    const work = run(sent, running).finally(() => {
      server.running.delete(running);
      end();
    });
    const abandoned = fate.abandon?.({ block: sent, rows: [] });
    if (abandoned === undefined) return work;
    work.catch(() => undefined); // heard by nobody when the caller has left
    return Promise.race([work, abandoned]);
  }

  async function run(block: Block, running: RunningInsert): Promise<void> {
    const encoder = ENCODERS.find((candidate) => candidate.table === block.table);
    if (encoder === undefined) throw new ClickHouseError('misconfigured', `Code: 60. Table ${block.table} does not exist`, 60);
    const rows = decode(block, encoder.types);
    const call = { block, rows };
    await fate.arrive?.(call);
    if (running.isKilled) throw cancelled();
    running.hasBegun = true;
    for (const row of rows) {
      const reason = fate.refuses?.(row, block.table);
      if (reason !== undefined) throw new ClickHouseError('bad-row', `Code: 27. ${reason}`, 27);
    }
    let index = 0;
    for (const [partition, part] of partsOf(block.table, rows)) {
      const loss = await fate.part?.(call, index++);
      if (running.isKilled) throw cancelled();
      const token = `${block.table}/${block.deduplicationToken}/${partition}`;
      if (block.deduplicationToken !== undefined && server.tokens.has(token)) continue;
      if (block.deduplicationToken !== undefined) server.tokens.add(token);
      if (loss === 'lost') throw new ClickHouseError('unknown', 'socket hang up');
      server.tables.set(block.table, [...(server.tables.get(block.table) ?? []), ...part]);
    }
    await fate.answer?.(call);
  }

  function storedOffsetsOf({ topic, partition }: TopicPartition): Set<number> {
    const stored = new Set<number>();
    for (const row of server.events()) if (row['_topic'] === topic && row['_partition'] === partition) stored.add(Number(row['_offset']));
    return stored;
  }

  return {
    eventBlock: createEventBlock,
    sideBlocks: createSideBlocks,
    insert,
    async ping() {
      await fate.question?.('ping');
    },
    async storedOffsets(partition, from) {
      await fate.question?.('storedOffsets');
      return rangesOf([...storedOffsetsOf(partition)].filter((offset) => offset >= from));
    },
    async storedAmong(asked) {
      await fate.question?.('storedAmong');
      return asked.map(({ topic, partition, offsets }) => {
        const stored = storedOffsetsOf({ topic, partition });
        return { topic, partition, offsets: new Set(offsets.filter((offset) => stored.has(offset))) };
      });
    },
    /** An insert that has left its sender and not yet arrived will be refused: the real one looks twice for it. */
    async killInserts(prefix) {
      await fate.question?.('killInserts');
      const named = [...server.running].filter((running) => isNamed(running.id, prefix));
      for (const running of named) running.isKilled = true;
      await Promise.all(named.filter((running) => running.hasBegun).map((running) => running.ended));
    },
    query: () => Promise.reject(new ClickHouseError('misconfigured', 'the fake ClickHouse knows no SQL')),
    command: () => Promise.reject(new ClickHouseError('misconfigured', 'the fake ClickHouse knows no SQL')),
    close: () => Promise.resolve(),
  };
}

function cancelled(): ClickHouseError {
  return new ClickHouseError('unknown', 'Code: 394. Query was cancelled', 394);
}

function decode(block: Block, types: readonly string[]): BinaryRow[] {
  let rows: BinaryRow[];
  try {
    rows = readRowBinary(block.columns, types, block.body);
  } catch (error) {
    throw new ClickHouseError('bad-row', `Code: 33. Cannot read all data: ${String(error)}`, 33);
  }
  if (rows.length !== block.rowCount) throw new Error(`the block says ${block.rowCount} rows and holds ${rows.length}`);
  return rows;
}

/** A block is stored table partition by table partition: PARTITION BY toYYYYMM(timestamp). */
function partsOf(table: string, rows: readonly BinaryRow[]): Map<string, BinaryRow[]> {
  if (table !== 'events') return new Map([['all', [...rows]]]);
  const parts = Map.groupBy(rows, (row) => new Date(Number(row['timestamp'])).toISOString().slice(0, 7));
  return new Map([...parts].map(([month, part]) => [month, collapsed(part)]));
}

/** ReplacingMergeTree(_timestamp): of equal sorting keys the greatest version stays, the last of equal ones. */
function collapsed(rows: readonly BinaryRow[]): BinaryRow[] {
  const byKey = new Map<string, BinaryRow>();
  for (const row of rows) {
    const day = new Date(Number(row['timestamp'])).toISOString().slice(0, 10);
    const key = [row['team_id'], day, row['event'], row['distinct_id'], row['uuid']].join('\0');
    const known = byKey.get(key);
    if (known === undefined || Number(row['_timestamp']) >= Number(known['_timestamp'])) byKey.set(key, row);
  }
  return [...byKey.values()];
}

function rangesOf(offsets: number[]): OffsetRange[] {
  const ranges: { from: number; to: number }[] = [];
  for (const offset of offsets.sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last?.to === offset) last.to++;
    else ranges.push({ from: offset, to: offset + 1 });
  }
  return ranges;
}
