import { gunzipSync } from 'node:zlib';
import { asJsonObject } from '../../src/domain/json.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import type { WireEvent } from './wire-events.ts';

/** One event of rrweb. `cv` says that `data` (or parts of it) is gzip, each byte a code point. */
export interface SnapshotItem {
  readonly type: number;
  readonly data: unknown;
  readonly cv?: string;
}

export interface Recording {
  readonly key: string | undefined;
  /** Unpacked. */
  readonly items: readonly SnapshotItem[];
}

/** The items of a `$snapshot` as a browser sent it, unpacked. */
export function snapshotItems({ properties }: WireEvent): readonly SnapshotItem[] {
  const data = asJsonObject(properties)?.['$snapshot_data'];
  return (Array.isArray(data) ? data : [data]).map((item) => unpacked(item as SnapshotItem));
}

/** The recordings of a token, as PostHog's consumers read them from Kafka (spec/capture.md 6.7). */
export function recordingsOf(records: readonly KafkaRecord[], token: string): readonly Recording[] {
  return records.flatMap(({ key, value }) => {
    const envelope = JSON.parse(value?.toString() ?? '{}') as { token: string; event: string; data: string };
    if (envelope.token !== token) return [];
    const { properties } = JSON.parse(envelope.data) as { properties: { $snapshot_items: SnapshotItem[] } };
    return [{ key: key?.toString(), items: properties.$snapshot_items.map(unpacked) }];
  });
}

/** Fails loudly when a code point was lost on the way: gzip has a checksum. */
function unpacked(item: SnapshotItem): SnapshotItem {
  const { cv, data } = item;
  if (cv === undefined) return item;
  if (typeof data === 'string') return { ...item, data: inflated(data) };
  const parts = Object.entries(asJsonObject(data) ?? {});
  return { ...item, data: Object.fromEntries(parts.map(([name, part]) => [name, typeof part === 'string' ? inflated(part) : part])) };
}

function inflated(text: string): unknown {
  return JSON.parse(gunzipSync(Buffer.from(text, 'latin1')).toString());
}
