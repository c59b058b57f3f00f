import { expect } from 'vitest';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import type { ForwarderMessage } from '../../../actors/forwarder/messages.ts';
import type { RedisBufferMessage } from '../../../actors/redis-buffer/messages.ts';
import { createRouter, createTeamCache, KEEP, type OverflowPolicy, type RouterOptions } from '../../../actors/router/index.ts';
import type { BatchAccepted } from '../../../actors/router/messages.ts';
import type { TeamMessage } from '../../../actors/team/messages.ts';
import type { PendingEvent } from '../../../src/domain/event.ts';
import { STORED } from '../../../src/domain/outcome.ts';
import type { Team } from '../../../src/domain/team.ts';
import { parseDropList } from '../../../src/domain/token.ts';
import { createLedger } from '../../../src/kafka/ledger.ts';
import type { KafkaRecord } from '../../../src/kafka/port.ts';
import type { TeamStore } from '../../../src/postgres/port.ts';
import type { TellResult } from '../../../src/runtime/ref.ts';
import { pass, probe, settle } from '../../kit/actors.ts';
import { createFakeTeamStore } from '../../kit/fake-person-store.ts';
import { aBatch, aRecord, aTeam, type RecordParts } from '../../kit/pipeline.ts';
import { systemsOf } from '../../kit/systems.ts';
import { TREE_SETTINGS } from '../../kit/troupe.ts';

const open = systemsOf();

export interface SetUp extends Partial<RouterOptions> {
  readonly teams?: readonly Team[];
  readonly store?: TeamStore;
  readonly drop?: { readonly byToken?: string; readonly byTokenDistinctId?: string };
  readonly overflow?: OverflowPolicy;
  readonly replayedBelow?: number;
  readonly stored?: readonly { readonly from: number; readonly to: number }[];
  readonly cacheCount?: number;
  readonly tokenTtlMs?: number;
  readonly ledgerCount?: number;
}

/** A router between a ledger and a team that only notes what it is handed. */
export function setUp(parts: SetUp = {}) {
  const { system, clock } = open();
  const ledger = createLedger({ topic: 'events', partition: 0, generation: 1, watermark: 0, capacityCount: parts.ledgerCount ?? 4_096 });
  ledger.seedSettled(parts.stored ?? []);
  const deadLetter = probe<DeadLetterMessage>('dead-letter');
  const forwarder = probe<ForwarderMessage>('forwarder');
  const redisBuffer = probe<RedisBufferMessage>('redis-buffer');
  const accepted = probe<BatchAccepted>('accepted');
  const dispatched: PendingEvent[] = [];
  const told: TeamMessage[] = [];
  const control = { answer: 'accepted' as TellResult };
  const cacheOptions = { tokenTtlMs: parts.tokenTtlMs ?? 60_000, idTtlMs: 60_000, capacityCount: parts.cacheCount ?? 100 };
  const spec = createRouter({
    ledger,
    teams: createTeamCache(parts.store ?? createFakeTeamStore(parts.teams ?? [aTeam(1), aTeam(2)]), clock, cacheOptions),
    tellTeam(_team, message) {
      if (control.answer !== 'accepted') return control.answer;
      told.push(message);
      if (message.type === 'groups') for (const group of message.groups) dispatched.push(...group.events);
      return 'accepted';
    },
    prefetch: () => Promise.resolve(),
    deadLetter,
    forwarder,
    redisBuffer,
    overflow: parts.overflow ?? KEEP,
    dropList: parseDropList({ byToken: parts.drop?.byToken ?? '', byTokenDistinctId: parts.drop?.byTokenDistinctId ?? '' }),
    replayedBelow: parts.replayedBelow ?? 0,
    options: {
      ...TREE_SETTINGS.router,
      ...parts,
    },
    strategy: { directive: 'escalate' },
  });
  const crashes: unknown[] = [];
  const ref = system.spawn(spec, 'router', undefined, (_ref, error) => void crashes.push(error));
  const offsets = (): number[] => dispatched.map(({ offset }) => offset);
  return {
    system,
    clock,
    ledger,
    deadLetter,
    forwarder,
    redisBuffer,
    accepted,
    dispatched,
    told,
    control,
    crashes,
    offsets,
    rest: () => pass(system, clock, 1),
    hand: async (records: readonly KafkaRecord[]) => {
      expect(ref.tell({ type: 'batch', batch: aBatch(records), replyTo: accepted })).toBe('accepted');
      await settle(system);
    },
    /** Settles dispatched events as stored; the router has not heard of it yet. */
    storeUnheard(...which: readonly number[]): void {
      for (const one of dispatched) if (which.includes(one.offset)) one.settlement.settle(one.offset, STORED);
    },
    /** Settles dispatched events as stored, and lets the router hear of it. */
    store: async (...which: readonly number[]) => {
      for (const one of dispatched) if (which.includes(one.offset)) one.settlement.settle(one.offset, STORED);
      await pass(system, clock, 1);
    },
    inspect: () => system.inspect.one('/router')?.details ?? {},
  };
}

export const records = (count: number, parts: (index: number) => RecordParts = () => ({}), from = 0): KafkaRecord[] =>
  Array.from({ length: count }, (_, index) => aRecord(from + index, parts(index)));
/** 0, 1, …, count - 1 */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
