import type { PendingEvent } from '../../src/domain/event.ts';
import { offset as toOffset, teamId } from '../../src/domain/ids.ts';
import type { Outcome, Settlement } from '../../src/domain/outcome.ts';
import type { EventRow } from '../../src/domain/rows.ts';

/** A Settlement that remembers, by offset. */
export interface TestSettlement extends Settlement {
  active: boolean;
  readonly outcomes: Map<number, Outcome>;
  /** Offsets settled more than once: must stay empty. */
  readonly twice: number[];
}

export function testSettlement(topic = 'events', partition = 0, generation = 1): TestSettlement {
  const outcomes = new Map<number, Outcome>();
  const twice: number[] = [];
  return {
    topic,
    partition,
    generation,
    active: true,
    outcomes,
    twice,
    settle(offset, outcome) {
      if (outcomes.has(offset)) twice.push(offset);
      outcomes.set(offset, outcome);
    },
  };
}

const START_MS = Date.UTC(2026, 10, 21, 10);

/** An event row that depends on its place only, so that a replayed record makes the same row. */
export function eventRow(settlement: Settlement, offset: number, parts: Partial<Omit<EventRow, 'pending'>> = {}): EventRow {
  const pending: PendingEvent = {
    offset: toOffset(offset),
    settlement,
    envelope: {
      uuid: undefined,
      distinctId: `user-${offset % 7}`,
      ip: undefined,
      siteUrl: undefined,
      data: '{}',
      sentAt: undefined,
      token: undefined,
      teamId: undefined,
      fields: {},
    },
    teamId: teamId(2),
    raw: Buffer.from(`raw ${offset}`),
    key: null,
    headers: undefined,
    timestampMs: START_MS + offset,
    maybeReplayed: false,
    trace: undefined,
  };
  return {
    uuid: uuidOf(settlement.topic, settlement.partition, offset),
    event: '$pageview',
    properties: '{"a":1}',
    timestampMs: START_MS + offset,
    teamId: 2,
    distinctId: `user-${offset % 7}`,
    elementsChain: '',
    createdAtMs: START_MS,
    personId: uuidOf('person', 0, offset % 7),
    personProperties: '{}',
    personCreatedAtMs: START_MS,
    personMode: 'full',
    pending,
    ...parts,
  };
}

/** A uuid that says where it is from. */
export function uuidOf(topic: string, partition: number, offset: number): string {
  let hash = 7;
  for (const char of topic) hash = (Math.imul(hash, 31) + char.charCodeAt(0)) >>> 0;
  const hex = (value: number, length: number): string => value.toString(16).padStart(length, '0').slice(-length);
  return `${hex(hash, 8)}-${hex(partition, 4)}-4000-8000-${hex(offset, 12)}`;
}
