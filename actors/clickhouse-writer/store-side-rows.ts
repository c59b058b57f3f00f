/** Side rows on their way into ClickHouse: at least once, so a failed insert is simply sent again. */
import { ClickHouseError, type ClickHouse, type SideBlocks } from '../../src/clickhouse/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { Clock } from '../../src/runtime/clock.ts';

export interface SideStorage {
  readonly blocks: SideBlocks;
  /** Tables whose rows are durable already. */
  readonly done: Set<string>;
}

/**
 * Resolves when the rows of all tables are durable. Called again after a failure it goes on with the tables that are left.
 * @throws ClickHouseError of the first table that failed; the others have been tried
 */
export async function storeSideRows(
  { blocks, done }: SideStorage,
  clickhouse: ClickHouse,
  clock: Clock,
  nextNonce: () => string,
): Promise<void> {
  const left = blocks.filled().filter((block) => !done.has(block.table));
  const results = await Promise.allSettled(
    left.map(async (block) => {
      const startedMs = clock.monotonic();
      await storeRows(block, [...Array(block.rowCount).keys()]);
      done.add(block.table);
      const { table, rowCount: rows, byteCount: bytes } = block;
      stateFact('clickhouse-block-stored', { table, rows, bytes, durationMs: clock.monotonic() - startedMs });
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;

  async function storeRows(block: (typeof left)[number], indexes: readonly number[]): Promise<void> {
    const { table, columns } = block;
    try {
      const body = block.body(indexes);
      await clickhouse.insert({ table, columns, body, rowCount: indexes.length, queryId: nextNonce(), deduplicationToken: undefined });
    } catch (error) {
      if (!(error instanceof ClickHouseError)) throw error;
      stateFact('clickhouse-insert-failed', { table, kind: error.kind, code: error.code });
      if (error.kind !== 'bad-row') throw error;
      if (indexes.length > 1) {
        const middle = indexes.length >> 1;
        await storeRows(block, indexes.slice(0, middle));
        await storeRows(block, indexes.slice(middle));
        return;
      }
      // The event that caused the row is not at fault and must not wait for ever: say it and go on.
      const fields = { table, code: error.code };
      stateFact('log-written', { level: 'error', message: 'ClickHouse refuses a side row; it is left out.', fields });
    }
  }
}
