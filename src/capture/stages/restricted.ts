import { own } from '../../domain/json.ts';
import { state } from '../../observe/facts.ts';
import { without, type Batch, type Stage } from '../batch.ts';
import type { Lane } from '../classify.ts';
import { appliedTo, type Applied, type Described, type Pipeline, type RestrictionType } from '../restrictions/rules.ts';
import { NO_RESTRICTIONS, type Restrictions } from '../restrictions/watch.ts';
import { NO_PERSON, withHeaders, type Routed } from '../routed.ts';
import type { PreparedEvent } from './prepare.ts';
import type { PreparedRecording } from './prepare-recording.ts';
import { RECORDING_EVENT } from './produce-recording.ts';

/** What restrictions ask, and which lane has an overflow of its own. */
export interface Restricting<E> {
  readonly describe: (one: E) => Described;
  readonly overflows: Readonly<Partial<Record<Lane, Lane>>>;
}

export const RESTRICTING_EVENTS: Restricting<PreparedEvent> = {
  describe: ({ raw, distinctId, uuid }) => {
    const sessionId = own(raw.properties, '$session_id');
    return {
      pipelines: pipelinesOf(raw.event),
      distinctId,
      sessionId: typeof sessionId === 'string' ? sessionId : undefined,
      name: raw.event,
      uuid,
    };
  },
  overflows: { main: 'overflow' },
};

export const RESTRICTING_RECORDINGS: Restricting<PreparedRecording> = {
  describe: ({ distinctId, sessionId, uuid }) => ({
    pipelines: ['session_recordings'],
    distinctId,
    sessionId,
    name: RECORDING_EVENT,
    uuid,
  }),
  overflows: { recordings: 'recordingsOverflow' },
};

function pipelinesOf(event: string): readonly Pipeline[] {
  if (event === '$exception') return ['analytics', 'errortracking'];
  return event.startsWith('$ai_') ? ['analytics', 'ai'] : ['analytics'];
}

/**
 * Does with events what their restrictions say (spec/capture.md 7.4): leaves them out, or sends them to the dead letters, to a topic of their own, or to
 * the overflow, in this order; and takes their person from them. What is without a person has no key where keys are persons.
 */
export function restricted<E extends Routed>(restrictions: Restrictions, { describe, overflows }: Restricting<E>): Stage<E> {
  if (restrictions === NO_RESTRICTIONS) return (next) => next;
  return (next) => (batch) => {
    const those = restrictions.of(batch.token);
    if (those === undefined) return next(batch);
    const applied = new Map<E, Applied>();
    const tally = createTally();
    for (const event of batch.events) {
      const described = describe(event);
      const found = appliedTo(described, those);
      if (found === undefined) continue;
      applied.set(event, found);
      tally.applied(found, described.pipelines.at(-1) ?? 'analytics');
    }
    if (applied.size === 0) return next(batch);
    const kept = without(batch, (event) =>
      applied.get(event)?.types.has('drop_event_from_ingestion') === true ? 'event_restriction_drop' : undefined,
    );
    const events = kept.events.map((event) => {
      const found = applied.get(event);
      return found === undefined ? event : rerouted(event, found, overflows, batch, tally);
    });
    tally.end();
    return next({ ...kept, events });
  };
}

function rerouted<E extends Routed>(
  event: E,
  { types, topic }: Applied,
  overflows: Restricting<E>['overflows'],
  { exchange }: Batch<E>,
  tally: Tally,
): E {
  const hasPerson = !types.has('skip_person_processing');
  const marked = hasPerson ? event : withHeaders(event, NO_PERSON);
  if (types.has('redirect_to_dlq')) {
    tally.rerouted('dead-letters');
    const headers = { dlq_reason: 'event_restriction', dlq_step: 'capture', dlq_timestamp: new Date(exchange.receivedMs).toISOString() };
    return withHeaders({ ...marked, lane: 'deadLetter', topic: undefined }, headers);
  }
  if (topic !== undefined) {
    tally.rerouted('custom-topic');
    return { ...marked, topic };
  }
  const aside = types.has('force_overflow_from_ingestion') && event.topic === undefined ? overflows[event.lane] : undefined;
  if (aside !== undefined) tally.rerouted('overflow');
  const isPersonLane = event.lane === 'main' && event.topic === undefined;
  return { ...marked, lane: aside ?? event.lane, isKeyless: event.isKeyless || (!hasPerson && isPersonLane) };
}

type Destination = 'overflow' | 'dead-letters' | 'custom-topic';

interface Tally {
  applied(found: Applied, pipeline: Pipeline): void;
  rerouted(to: Destination): void;
  /** States what was counted. */
  end(): void;
}

/** Counts for one batch, so that a fact is for many events. */
function createTally(): Tally {
  const byType = new Map<string, { type: RestrictionType; pipeline: Pipeline; count: number }>();
  const byDestination = new Map<Destination, number>();
  return {
    applied({ types }, pipeline) {
      for (const type of types) {
        const counted = byType.get(`${type} ${pipeline}`);
        if (counted === undefined) byType.set(`${type} ${pipeline}`, { type, pipeline, count: 1 });
        else counted.count++;
      }
    },
    rerouted: (to) => byDestination.set(to, (byDestination.get(to) ?? 0) + 1),
    end() {
      for (const counted of byType.values()) state('capture-restrictions-applied', counted);
      for (const [to, count] of byDestination) state('capture-events-rerouted', { to, reason: 'event_restriction', count });
    },
  };
}
