/**
 * Event restrictions (spec/capture.md 7.4): what PostHog's staff, or an operator, lays down for some events of a token while capture
 * runs. This file says what they are and which events they mean; entries.ts reads them, watch.ts keeps them fresh.
 */

/** By the last part of their keys in Redis. */
export const RESTRICTIONS = [
  'drop_event_from_ingestion',
  'force_overflow_from_ingestion',
  'skip_person_processing',
  'redirect_to_dlq',
  'redirect_to_topic',
] as const;
export type RestrictionType = (typeof RESTRICTIONS)[number];

/** What an entry can be for. `$exception` is of `analytics` and `errortracking`, `$ai_*` of `analytics` and `ai`: older entries know no others. */
export const PIPELINES = ['analytics', 'session_recordings', 'ai', 'errortracking'] as const;
export type Pipeline = (typeof PIPELINES)[number];

export interface Restriction {
  readonly type: RestrictionType;
  readonly token: string;
  readonly pipelines: ReadonlySet<Pipeline>;
  /** Every one of them must hold the event's own; one that is undefined holds all. */
  readonly distinctIds: ReadonlySet<string> | undefined;
  readonly sessionIds: ReadonlySet<string> | undefined;
  readonly eventNames: ReadonlySet<string> | undefined;
  readonly eventUuids: ReadonlySet<string> | undefined;
  /** Only of `redirect_to_topic`. */
  readonly topic: string | undefined;
}

/** What restrictions ask of an event or a recording. */
export interface Described {
  readonly pipelines: readonly Pipeline[];
  readonly distinctId: string;
  readonly sessionId: string | undefined;
  readonly name: string;
  readonly uuid: string;
}

/** What is to become of it. */
export interface Applied {
  readonly types: ReadonlySet<RestrictionType>;
  readonly topic: string | undefined;
}

/** Undefined when none of the restrictions means it. Of several topics the last one counts. */
export function appliedTo(described: Described, restrictions: readonly Restriction[]): Applied | undefined {
  let types: Set<RestrictionType> | undefined;
  let topic: string | undefined;
  for (const restriction of restrictions) {
    if (!means(restriction, described)) continue;
    (types ??= new Set()).add(restriction.type);
    topic = restriction.topic ?? topic;
  }
  return types === undefined ? undefined : { types, topic };
}

function means(restriction: Restriction, { pipelines, distinctId, sessionId, name, uuid }: Described): boolean {
  const { distinctIds, sessionIds, eventNames, eventUuids } = restriction;
  return (
    pipelines.some((pipeline) => restriction.pipelines.has(pipeline)) &&
    (distinctIds?.has(distinctId) ?? true) &&
    (sessionIds === undefined || (sessionId !== undefined && sessionIds.has(sessionId))) &&
    (eventNames?.has(name) ?? true) &&
    (eventUuids?.has(uuid) ?? true)
  );
}
