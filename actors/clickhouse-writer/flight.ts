/** What is stored together, and the order in which: side rows first, then the event rows (W2). */
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ClickHouse, SideBlocks } from '../../src/clickhouse/port.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { RowlessEvent } from '../row-writer/messages.ts';
import { settleRowless, tellStage } from '../row-writer/settling.ts';
import { clearBlock, openBlock, type OpenBlock } from './state.ts';
import { storageOf, storeEvents, type Storage, type StoreDeps } from './store-block.ts';
import { storeSideRows, type SideStorage } from './store-side-rows.ts';

/** Rows on the ground: being filled, or emptied and kept for its buffers. */
export interface Load {
  readonly block: OpenBlock;
  readonly side: SideBlocks;
  /** Settled when the side rows are durable (W10). */
  readonly rowless: RowlessEvent[];
}

/** Rows on their way, with how far they have come. */
export interface Flight extends Load {
  readonly sideStorage: SideStorage;
  readonly storage: Storage;
  readonly startedMs: number;
  readonly startedWallMs: number;
  hasLanded: boolean;
}

export function newLoad(clickhouse: ClickHouse): Load {
  return { block: openBlock(clickhouse.eventBlock()), side: clickhouse.sideBlocks(), rowless: [] };
}

export function isEmptyLoad({ block, side, rowless }: Load): boolean {
  return block.rows.length === 0 && side.rowCount === 0 && rowless.length === 0;
}

/** The load after its flight: empty, with its buffers. */
export function unload({ block, side, rowless }: Load): Load {
  clearBlock(block);
  side.clear();
  rowless.length = 0;
  return { block, side, rowless };
}

export function takeOff(load: Load, clock: Clock): Flight {
  return {
    ...load,
    sideStorage: { blocks: load.side, done: new Set() },
    storage: storageOf(load.block),
    startedMs: clock.monotonic(),
    startedWallMs: clock.now(),
    hasLanded: false,
  };
}

/**
 * Resolves when every row has its end. Called again after a failure it goes on where it was.
 * @throws what {@link storeEvents} and {@link storeSideRows} throw
 */
export async function fly(flight: Flight, deps: StoreDeps & { readonly clock: Clock }): Promise<void> {
  if (flight.hasLanded) return;
  await storeSideRows(flight.sideStorage, deps.clickhouse, deps.clock, deps.nextNonce);
  settleRowless(flight.rowless); // W10
  await storeEvents(flight.storage, deps);
  flight.hasLanded = true;
  report(flight, deps.clock);
}

function report({ block, startedMs, startedWallMs }: Flight, clock: Clock): void {
  if (block.rows.length === 0) return;
  const { table, rowCount: rows, byteCount: bytes } = block.builder;
  stateFact('clickhouse-block-stored', { table, rows, bytes, durationMs: clock.monotonic() - startedMs });
  tellStage('clickhouse insert', block.traces, { startMs: startedWallMs, endMs: clock.now(), rows, bytes });
}
