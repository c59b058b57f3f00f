import { createDistinctId, type DistinctIdDeps } from '../../../actors/distinct-id/index.ts';
import type { DistinctIdMessage, PluginHandle } from '../../../actors/distinct-id/messages.ts';
import { createPersonWriter } from '../../../actors/person-writer/index.ts';
import type { PersonWriterAnswer, PersonWriterMessage, PrefetchedPersons } from '../../../actors/person-writer/messages.ts';
import type { PluginAnswer, PluginMessage } from '../../../actors/plugin/messages.ts';
import type { RowWriterMessage } from '../../../actors/row-writer/messages.ts';
import type { DefinitionSink } from '../../../actors/definition-writer/messages.ts';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import type { RedisBufferMessage } from '../../../actors/redis-buffer/messages.ts';
import type { EventGroup, Json, PluginEvent } from '../../../src/domain/event.ts';
import type { EventRow, SideRow } from '../../../src/domain/rows.ts';
import type { Team } from '../../../src/domain/team.ts';
import type { ActorRef } from '../../../src/runtime/ref.ts';
import { asJsonObject } from '../../../src/domain/json.ts';
import type { ActorSystem } from '../../../src/runtime/system.ts';
import { pass, probe, restarting, settle, type Probe } from '../../kit/actors.ts';
import type { ManualClock } from '../../kit/clock.ts';
import { testSettlement } from '../../kit/event-rows.ts';
import {
  createFakeGroupStore,
  createFakePersonDatabase,
  createFakePersonStore,
  type PersonStoreFate,
} from '../../kit/fake-person-store.ts';
import { aGroup, aTeam, type PendingParts } from '../../kit/pipeline.ts';

/** A distinct_id actor between probes; the person writer is the real one on a fake store, or one that the test gives. */
export function distinctIdKit(
  { system, clock }: { readonly system: ActorSystem; readonly clock: ManualClock },
  parts: {
    readonly fate?: PersonStoreFate;
    readonly definitions?: DefinitionSink;
    readonly exceptions?: DistinctIdDeps['exceptions'];
    readonly personWriter?: ActorRef<PersonWriterMessage>;
    readonly prefetched?: PrefetchedPersons;
    readonly team?: Partial<Team>;
  } = {},
) {
  const clickhouse = probe<RowWriterMessage>('clickhouse-writer');
  const deadLetter = probe<DeadLetterMessage>('dead-letter');
  const redisBuffer = probe<RedisBufferMessage>('redis-buffer');
  const database = createFakePersonDatabase();
  const personWriter =
    parts.personWriter ??
    system.spawn(
      createPersonWriter({
        persons: createFakePersonStore(database, parts.fate),
        groups: createFakeGroupStore(),
        rowWriter: clickhouse,
        mayWrite: () => true,
        options: { flushRowsCount: 100, lingerMs: 1, personlessCacheCount: 100, mailboxCapacityCount: 1_000 },
        strategy: { directive: 'escalate' },
      }),
      'person-writer',
    );
  const spec = createDistinctId({
    personWriter,
    prefetched: parts.prefetched ?? { take: () => undefined },
    rowWriter: clickhouse,
    deadLetter,
    redisBuffer,
    definitions: parts.definitions,
    exceptions: parts.exceptions,
    options: { mailboxCapacityCount: 100 },
    strategy: restarting({ quarantineMs: 60_000 }),
  });
  const ref: ActorRef<DistinctIdMessage> = system.spawn(spec, 'd');
  const settlement = testSettlement();
  let next = 0;
  const tell = (events: readonly PendingParts[], plugins: readonly PluginHandle[] = [], group?: EventGroup): EventGroup => {
    const made = group ?? aGroup(settlement, next, events);
    next += events.length;
    const told = ref.tell({ type: 'group', team: aTeam(1, parts.team), plugins, group: made });
    if (told !== 'accepted') throw new Error(`the group was not taken: ${told}`);
    return made;
  };
  const rest = async (ms = 20): Promise<void> => {
    await settle(system);
    await pass(system, clock, ms, 1);
  };
  const rows = (): readonly EventRow[] => clickhouse.messages.flatMap((message) => (message.type === 'store-events' ? message.rows : []));
  return {
    system,
    clock,
    database,
    clickhouse,
    deadLetter,
    redisBuffer,
    settlement,
    ref,
    spec,
    tell,
    rest,
    rows,
    run: async (events: readonly PendingParts[], plugins: readonly PluginHandle[] = []): Promise<readonly EventRow[]> => {
      const before = rows().length;
      tell(events, plugins);
      await rest();
      return rows().slice(before);
    },
    sideRows: (): readonly SideRow[] => clickhouse.messages.flatMap((message) => (message.type === 'store-side-rows' ? message.rows : [])),
    poison: () =>
      deadLetter.messages.flatMap((message) =>
        message.type === 'dead-letter' ? message.records.map(({ offset, reason, origin }) => [Number(offset), reason, origin]) : [],
      ),
    /** Debounced or not: those that are always shown go straight to the row writer. */
    warnings: () => [
      ...redisBuffer.messages.flatMap((message) => (message.type === 'warn' ? [message.warning.type] : [])),
      ...clickhouse.messages
        .flatMap((message) => (message.type === 'store-side-rows' ? message.rows : []))
        .flatMap((row) => (row.table === 'ingestion_warnings' ? [row.type] : [])),
    ],
    /** What the row writer is to settle once the side rows before it are durable: `offset reason`. */
    rowless: () =>
      clickhouse.messages.flatMap((message) =>
        message.type === 'settle-after-side-rows'
          ? message.events.map(({ offset, outcome }) => `${offset} ${outcome.type === 'dropped' ? outcome.reason : outcome.type}`)
          : [],
      ),
    /** Stored properties of a person, by distinct id. */
    stored: (distinctId = 'd'): Json | undefined => {
      const mapping = database.mappings.get(`1:${distinctId}`);
      const row = mapping === undefined ? undefined : database.persons.get(mapping.rowId);
      if (row === undefined) return undefined;
      const properties = asJsonObject(JSON.parse(row.properties)) ?? {};
      delete properties['$creator_event_uuid'];
      return properties;
    },
  };
}

export const personPropertiesOf = (row: EventRow): Json => {
  const properties = asJsonObject(JSON.parse(row.personProperties)) ?? {};
  delete properties['$creator_event_uuid'];
  return properties;
};
export const propertiesOf = (row: EventRow): Json => asJsonObject(JSON.parse(row.properties)) ?? {};

/** A plugin that answers as told, at once; `work` gives the result for an event. */
export function aPlugin(id: number, work: (event: PluginEvent) => PluginAnswer['result']): PluginHandle & { readonly seen: PluginEvent[] } {
  const seen: PluginEvent[] = [];
  const ref: ActorRef<PluginMessage> = {
    path: `/plugin-${id}`,
    kind: 'plugin',
    tell(message) {
      if (message.type !== 'invoke') return 'stopped';
      const event = structuredClone(message.event);
      seen.push(event);
      message.replyTo.tell({ type: 'plugin-answered', ticket: message.ticket, result: work(structuredClone(event)) });
      return 'accepted';
    },
  };
  return { pluginConfigId: id, name: `p${id}`, ref, seen };
}

/** A person writer in the hands of the test: it remembers what it was asked and answers when told to. */
export function heldPersonWriter() {
  const held: Probe<PersonWriterMessage> = probe('person-writer');
  return {
    ref: held,
    asked: () => held.messages,
    answer(at: number, make: (ticket: number) => PersonWriterAnswer): void {
      const message = held.messages[at];
      if (message === undefined || !('ticket' in message)) throw new Error(`no command ${at}`);
      message.replyTo.tell(make(message.ticket));
    },
  };
}
