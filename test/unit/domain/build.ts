import type { Envelope, Json, PendingEvent, PluginEvent } from '../../../src/domain/event.ts';
import { offset, personId, teamId } from '../../../src/domain/ids.ts';
import type { Person } from '../../../src/domain/person.ts';
import type { PersonUpdate } from '../../../src/domain/person-fold.ts';

/** Builders for the domain's tests: every field has a plain value, the test names only what it is about. */
export const UUID = '01890000-0000-7000-8000-000000000001';
export const NOW = '2024-05-01T12:00:00.000Z';
export const NOW_MS = Date.UTC(2024, 4, 1, 12);

export function anEvent(fields: Partial<PluginEvent> = {}): PluginEvent {
  return { uuid: UUID, event: 'click', distinct_id: 'd1', team_id: 1, now: NOW, ip: null, properties: {}, ...fields };
}

export function aValue(outer: Json = {}, inner: Json = {}): Buffer {
  const data = JSON.stringify({ event: 'click', properties: {}, ...inner });
  return Buffer.from(JSON.stringify({ uuid: UUID, distinct_id: 'd1', ip: '', data, token: 'tok', now: NOW, ...outer }));
}

export function aPerson(fields: Partial<Person> = {}): Person {
  return {
    rowId: '7',
    id: personId('246f7a43-5507-564f-b687-793ee3c2dd79'),
    teamId: teamId(1),
    createdAtMs: 1_000,
    properties: {},
    isIdentified: false,
    version: 3,
    ...fields,
  };
}

export function anUpdate(fields: Partial<PersonUpdate> = {}): PersonUpdate {
  return { eventName: 'click', set: undefined, setOnce: undefined, unset: undefined, isIdentified: false, ...fields };
}

export function aPending(envelope: Envelope, raw: Buffer = Buffer.alloc(0)): PendingEvent {
  return {
    offset: offset(0),
    settlement: { topic: 't', partition: 0, generation: 1, active: true, settle: () => undefined },
    envelope,
    teamId: teamId(1),
    raw,
    key: null,
    headers: undefined,
    timestampMs: NOW_MS,
    maybeReplayed: false,
    trace: undefined,
  };
}

/** What would be stored: undefined keys are gone. */
export function stored(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** Deterministic numbers in [0, 1) (mulberry32), for the property tests. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
