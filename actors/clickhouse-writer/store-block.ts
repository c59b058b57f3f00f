/**
 * One block on its way into ClickHouse: the part of the writer that knows what to do with each answer.
 *
 *     certain ──insert──▶ 200: settled
 *        ▲                unknown: maybe-running ─┐
 *        │                refused: over ──────────┤
 *        │                                        ▼
 *        └──── the missing rows ◀─────────────── ask    (refused and still missing: halves, or one dead letter)
 *
 * Invariants (the numbers go on from behavior.ts)
 * W5 A row is settled `stored` only after a clean 200 of an insert that held it, or after it was seen in the table.
 * W6 Nothing is inserted again that an earlier insert may still store: that insert is over, and the table was asked.
 * W7 No deduplication token is used twice: the engine may know a token whose rows it lost (delivery.md section 3).
 * W8 One refused row costs itself: the rest of its block is stored, in order.
 * W9 No insert begins for a partition whose membership is not fresh, and none holds a row whose partition was lost.
 */
import { createHash } from 'node:crypto';
import { insertId } from '../../src/domain/insert-id.ts';
import type { TopicPartition } from '../../src/domain/ids.ts';
import { dropped, type Settlement } from '../../src/domain/outcome.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import { ClickHouseError, type ClickHouse } from '../../src/clickhouse/port.ts';
import { GivenUpError, NotFreshError } from '../row-writer/carrier.ts';
import type { RowWriterDeps } from '../row-writer/options.ts';
import { areFresh, settle, settleStored, sourcesOf } from '../row-writer/settling.ts';
import type { HeldRow, OpenBlock } from './state.ts';

export interface StoreDeps extends Pick<RowWriterDeps, 'mayWrite'> {
  readonly clickhouse: ClickHouse;
  /** Told of a row that ClickHouse refuses alone. */
  readonly refused: (row: HeldRow, detail: string) => void;
  /** A name for one insert that no other insert ever had. */
  readonly nextNonce: () => string;
  /** True once nobody waits any more: nothing further is begun. */
  readonly givenUp: () => boolean;
}

/** Rows of the block that share one fate so far. */
export interface Piece {
  indexes: number[];
  /** An insert of these rows failed: it may still run, or is surely over but may have stored some. */
  doubt: 'maybe-running' | 'over' | undefined;
  /** Name of the insert in doubt. */
  insertName: string;
  /** ClickHouse refused the rows together, for this reason. */
  refusal: string | undefined;
  /** Set once an insert had an unknown end: then even a clean one is checked. */
  isSuspect: boolean;
  /** Clean inserts after which rows were still missing. */
  vainCount: number;
}

export interface Storage {
  readonly block: OpenBlock;
  /** What is left to do, in order. */
  readonly pieces: Piece[];
}

/** After so many clean inserts a missing row is one that the engine merged into an equal one. */
const VAIN_INSERTS_COUNT = 2;

export function storageOf(block: OpenBlock): Storage {
  return { block, pieces: block.rows.length === 0 ? [] : [newPiece(block.rows.map((_, index) => index))] };
}

function newPiece(indexes: number[]): Piece {
  return { indexes, doubt: undefined, insertName: '', refusal: undefined, isSuspect: false, vainCount: 0 };
}

/**
 * Resolves when every row is settled, dead-lettered or left out. Called again after a failure it goes on where it was.
 * @throws ClickHouseError after which the same call is to be repeated later; NotFreshError; GivenUpError
 */
export async function storeEvents(storage: Storage, deps: StoreDeps): Promise<void> {
  for (let piece = storage.pieces[0]; piece !== undefined; piece = storage.pieces[0]) {
    piece.indexes = piece.indexes.filter((index) => rowAt(storage, index).pending.settlement.active); // W9
    if (piece.indexes.length > 0 && piece.doubt !== undefined) {
      await ask(storage, piece, piece.doubt, deps); // W6
      conclude(storage, piece, deps);
    } else if (piece.indexes.length > 0) {
      await insert(storage, piece, deps);
    }
    if (piece.indexes.length === 0 && storage.pieces[0] === piece) storage.pieces.shift();
  }
}

async function insert(storage: Storage, piece: Piece, deps: StoreDeps): Promise<void> {
  const { block } = storage;
  const sources = sourcesOf(piece.indexes.map((index) => rowAt(storage, index).pending.settlement));
  if (deps.givenUp()) throw new GivenUpError();
  if (!areFresh(sources, deps.mayWrite)) throw new NotFreshError(); // W9
  const nonce = deps.nextNonce();
  piece.insertName = insertId(sources, nonce);
  try {
    await deps.clickhouse.insert({
      table: block.builder.table,
      columns: block.builder.columns,
      body: block.builder.body(piece.indexes),
      rowCount: piece.indexes.length,
      queryId: piece.insertName,
      deduplicationToken: tokenOf(storage, piece.indexes, nonce),
    });
  } catch (error) {
    doubtAfter(piece, error);
    if (piece.refusal === undefined) throw error;
    return;
  }
  if (piece.isSuspect) {
    piece.doubt = 'over';
    piece.vainCount++;
  } else {
    settleStored(rowsAt(storage, piece.indexes)); // W5
    piece.indexes = [];
  }
}

/** What is known of the rows of an insert that failed. Only a request that never left leaves no doubt. */
function doubtAfter(piece: Piece, error: unknown): void {
  if (!(error instanceof ClickHouseError)) throw error;
  stateFact('clickhouse-insert-failed', { table: 'events', kind: error.kind, code: error.code });
  if (error.kind === 'unknown') {
    piece.doubt = 'maybe-running';
    piece.isSuspect = true;
  } else if (error.code !== undefined || error.kind === 'bad-row') {
    // A block over several table partitions is stored part by part: an answer that refuses it says nothing of the parts before.
    piece.doubt = 'over';
    if (error.kind === 'bad-row') piece.refusal = error.message;
  }
}

/** Settles the rows that are in the table; the missing ones stay in the piece. */
async function ask(storage: Storage, piece: Piece, doubt: 'maybe-running' | 'over', deps: StoreDeps): Promise<void> {
  if (doubt === 'maybe-running') await deps.clickhouse.killInserts(piece.insertName);
  const offsets = new Map<string, TopicPartition & { readonly offsets: number[] }>();
  for (const index of piece.indexes) {
    const { settlement, offset } = rowAt(storage, index).pending;
    const key = `${settlement.topic}:${settlement.partition}`;
    const known = offsets.get(key);
    if (known === undefined) offsets.set(key, { topic: settlement.topic, partition: settlement.partition, offsets: [offset] });
    else known.offsets.push(offset);
  }
  const answers = await deps.clickhouse.storedAmong([...offsets.values()]);
  const storedOf = new Map(answers.map((answer) => [`${answer.topic}:${answer.partition}`, answer.offsets]));
  const isStored = (index: number): boolean => {
    const { settlement, offset } = rowAt(storage, index).pending;
    return storedOf.get(`${settlement.topic}:${settlement.partition}`)?.has(offset) ?? false;
  };
  const askedCount = piece.indexes.length;
  settleStored(rowsAt(storage, piece.indexes.filter(isStored))); // W5
  piece.indexes = piece.indexes.filter((index) => !isStored(index));
  piece.doubt = undefined;
  stateFact('clickhouse-gap-filled', { asked: askedCount, missing: piece.indexes.length });
}

/** What the answer means for the rows that are missing. */
function conclude(storage: Storage, piece: Piece, deps: StoreDeps): void {
  const { refusal, indexes } = piece;
  if (indexes.length === 0) return;
  if (refusal !== undefined) {
    // W8
    storage.pieces.shift();
    if (indexes.length === 1) for (const row of rowsAt(storage, indexes)) deps.refused(row, refusal);
    else {
      const middle = indexes.length >> 1;
      storage.pieces.unshift(newPiece(indexes.slice(0, middle)), newPiece(indexes.slice(middle)));
    }
  } else if (piece.vainCount >= VAIN_INSERTS_COUNT) {
    const fields = { rows: indexes.length };
    stateFact('log-written', { level: 'warn', message: 'Rows were merged into rows with an equal key before they were seen.', fields });
    for (const { pending } of rowsAt(storage, indexes)) settle(pending, dropped('duplicate'));
    piece.indexes = [];
  }
}

const rowsAt = (storage: Storage, indexes: readonly number[]): readonly HeldRow[] => indexes.map((index) => rowAt(storage, index));

function rowAt(storage: Storage, index: number): HeldRow {
  const row = storage.block.rows[index];
  if (row === undefined) throw new RangeError(`no row ${index} in a block of ${storage.block.rows.length}`);
  return row;
}

/** W7: a hash of the offsets, and of the one insert that carries them. */
function tokenOf(storage: Storage, indexes: readonly number[], nonce: string): string {
  const hash = createHash('sha256').update(nonce);
  let source: Settlement | undefined;
  const offsets = new Float64Array(indexes.length);
  indexes.forEach((index, at) => {
    const { settlement, offset } = rowAt(storage, index).pending;
    if (settlement !== source) hash.update(`|${settlement.topic}:${settlement.partition}@${at}`);
    source = settlement;
    offsets[at] = offset;
  });
  return hash.update(offsets).digest('hex');
}
