import type { EventRow, SideRow } from '../domain/rows.ts';
import type { BlockBuilder, SideBlocks } from './port.ts';
import { RowBinaryWriter } from './row-binary.ts';
import type { RowEncoder } from './encoder.ts';
import { EVENT_ENCODER } from './rows.ts';
import { OVERRIDE_ENCODER, SIDE_ENCODERS, type Stamped } from './side-rows.ts';

/** A block much larger than usual is not worth its memory afterwards. */
const KEPT_BYTES = 64 * 1024 * 1024;
const EVENT_BLOCK_BYTES = 4 * 1024 * 1024;
const SIDE_BLOCK_BYTES = 256 * 1024;
/** For tables with few rows; a block grows when it must. */
const SMALL_BLOCK_BYTES = 16 * 1024;

/** @param initialBytes size of the buffer at first; it grows when needed */
export function createBlockBuilder<Row>(encoder: RowEncoder<Row>, initialBytes: number): BlockBuilder<Row> {
  let writer = new RowBinaryWriter(initialBytes);
  const starts: number[] = [];
  const endOf = (index: number): number => starts[index + 1] ?? writer.position;
  const startOf = (index: number): number => {
    const start = starts[index];
    if (start === undefined) throw new RangeError(`no row ${index} in a block of ${starts.length}`);
    return start;
  };

  return {
    table: encoder.table,
    columns: encoder.columns,
    get rowCount() {
      return starts.length;
    },
    get byteCount() {
      return writer.position;
    },
    append(row) {
      const from = writer.position;
      encoder.encode(writer, row);
      starts.push(from);
      return writer.position - from;
    },
    dropLast() {
      const start = starts.pop();
      if (start !== undefined) writer.rewind(start);
    },
    body(indexes) {
      const first = indexes[0];
      const last = indexes[indexes.length - 1];
      if (first === undefined || last === undefined) return Buffer.alloc(0);
      if (last - first + 1 === indexes.length) return writer.view(startOf(first), endOf(last));
      return Buffer.concat(indexes.map((index) => writer.view(startOf(index), endOf(index))));
    },
    clear() {
      starts.length = 0;
      if (writer.capacity > KEPT_BYTES) writer = new RowBinaryWriter(initialBytes);
      else writer.rewind(0);
    },
  };
}

/** The builder of a block of `events`. */
export function createEventBlock(): BlockBuilder<EventRow> {
  return createBlockBuilder(EVENT_ENCODER, EVENT_BLOCK_BYTES);
}

/** Empty blocks of every side table. */
export function createSideBlocks(): SideBlocks {
  const person = createBlockBuilder(SIDE_ENCODERS.person, SIDE_BLOCK_BYTES);
  const distinctIds = createBlockBuilder(SIDE_ENCODERS.person_distinct_id2, SIDE_BLOCK_BYTES);
  const overrides = createBlockBuilder(OVERRIDE_ENCODER, SIDE_BLOCK_BYTES);
  const groups = createBlockBuilder(SIDE_ENCODERS.groups, SIDE_BLOCK_BYTES);
  const warnings = createBlockBuilder(SIDE_ENCODERS.ingestion_warnings, SIDE_BLOCK_BYTES);
  const heatmaps = createBlockBuilder(SIDE_ENCODERS.heatmaps, SMALL_BLOCK_BYTES);
  const deadLetters = createBlockBuilder(SIDE_ENCODERS.events_dead_letter_queue, SMALL_BLOCK_BYTES);
  const appMetrics = createBlockBuilder(SIDE_ENCODERS.app_metrics, SMALL_BLOCK_BYTES);
  const pluginLogs = createBlockBuilder(SIDE_ENCODERS.plugin_log_entries, SMALL_BLOCK_BYTES);
  const all = [person, distinctIds, overrides, groups, warnings, heatmaps, deadLetters, appMetrics, pluginLogs];

  // Asked for with every message to the writer, so they are counted and not summed up.
  let rowCount = 0;
  let byteCount = 0;
  const note = (bytes: number): void => {
    rowCount++;
    byteCount += bytes;
  };

  return {
    get rowCount() {
      return rowCount;
    },
    get byteCount() {
      return byteCount;
    },
    append(row, writtenAtMs) {
      switch (row.table) {
        case 'person':
          note(person.append(stamped(row, writtenAtMs)));
          break;
        case 'person_distinct_id2': {
          const stampedRow = stamped(row, writtenAtMs);
          note(distinctIds.append(stampedRow));
          if (row.version > 0) note(overrides.append(stampedRow));
          break;
        }
        case 'groups':
          note(groups.append(stamped(row, writtenAtMs)));
          break;
        case 'ingestion_warnings':
          note(warnings.append(stamped(row, writtenAtMs)));
          break;
        case 'heatmaps':
          note(heatmaps.append(stamped(row, writtenAtMs)));
          break;
        case 'events_dead_letter_queue':
          note(deadLetters.append(stamped(row, writtenAtMs)));
          break;
        case 'app_metrics':
          note(appMetrics.append(stamped(row, writtenAtMs)));
          break;
        case 'plugin_log_entries':
          note(pluginLogs.append(stamped(row, writtenAtMs)));
          break;
      }
    },
    filled: () => all.filter((block) => block.rowCount > 0),
    clear() {
      for (const block of all) block.clear();
      rowCount = 0;
      byteCount = 0;
    },
  };
}

function stamped<Row extends SideRow>(row: Row, writtenAtMs: number): Stamped<Row> {
  return { ...row, writtenAtMs };
}
