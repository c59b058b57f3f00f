import { parseEnvelope } from '../../src/domain/envelope.ts';
import type { EventGroup, Json, PendingEvent } from '../../src/domain/event.ts';
import { offset as toOffset, teamId } from '../../src/domain/ids.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import { TEAM_DEFAULTS, type Team } from '../../src/domain/team.ts';
import type { KafkaRecord, RecordBatch } from '../../src/kafka/port.ts';

/** Builders for tests of the rooms between Kafka and ClickHouse: a test names only what it is about. */
export const NOW = '2026-01-01T00:00:00.000Z';
export const NOW_MS = Date.parse(NOW);

export function aTeam(id = 1, parts: Partial<Team> = {}): Team {
  return { id: teamId(id), token: `token-${id}`, name: `team ${id}`, ...TEAM_DEFAULTS, ingestedEvent: true, ...parts };
}

/** The uuid of the event at an offset, so that a replayed record makes the same event. */
export const uuidAt = (offset: number): string => `01890000-0000-7000-8000-${offset.toString(16).padStart(12, '0')}`;

export interface RecordParts {
  readonly distinctId?: string;
  readonly token?: string | undefined;
  readonly event?: string;
  readonly properties?: Json;
  /** Fields of the envelope, over the others. */
  readonly outer?: Json;
  readonly headers?: Readonly<Record<string, Buffer>>;
}

/** A Kafka record as capture writes it. The event happened at {@link NOW}. */
export function aRecord(offset: number, parts: RecordParts = {}): KafkaRecord {
  const { distinctId = 'd', event = 'click', properties = {} } = parts;
  const token = 'token' in parts ? parts.token : 'token-1';
  const data = JSON.stringify({ event, properties, timestamp: NOW });
  const envelope = { uuid: uuidAt(offset), distinct_id: distinctId, ip: '', data, now: NOW, token, ...parts.outer };
  return {
    offset,
    key: Buffer.from(`${token ?? ''}:${distinctId}`),
    value: Buffer.from(JSON.stringify(envelope)),
    headers: parts.headers,
    timestampMs: NOW_MS,
  };
}

export function aBatch(records: readonly KafkaRecord[], parts: Partial<RecordBatch> = {}): RecordBatch {
  return { topic: 'events', partition: 0, generation: 1, records, highWatermark: (records.at(-1)?.offset ?? -1) + 1, ...parts };
}

export interface PendingParts extends RecordParts {
  readonly teamId?: number;
  readonly maybeReplayed?: boolean;
}

/** What a router makes of a record. */
export function aPending(settlement: Settlement, offset: number, parts: PendingParts = {}): PendingEvent {
  const record = aRecord(offset, parts);
  const parsed = parseEnvelope(record.value);
  if (!parsed.ok) throw new Error(`not an envelope: ${parsed.detail}`);
  return {
    offset: toOffset(offset),
    settlement,
    envelope: parsed.envelope,
    teamId: teamId(parts.teamId ?? 1),
    raw: record.value ?? Buffer.alloc(0),
    key: record.key,
    headers: record.headers,
    timestampMs: record.timestampMs,
    maybeReplayed: parts.maybeReplayed ?? false,
    trace: undefined,
  };
}

/** A group of one (team, distinct_id); events at offsets `from`, `from + 1`, … */
export function aGroup(settlement: Settlement, from: number, events: readonly PendingParts[], distinctId = 'd', team = 1): EventGroup {
  return {
    teamId: teamId(team),
    distinctId,
    events: events.map((parts, index) => aPending(settlement, from + index, { distinctId, teamId: team, ...parts })),
  };
}
