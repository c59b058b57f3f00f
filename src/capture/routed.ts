import type { CaptureTopics, Lane } from './classify.ts';

/**
 * Where something of a batch goes, as the stages agree on it: an event, or the recording of a request. Who is asked last wins, so stages
 * stand in the order of spec/capture.md 7.4, least first: overflow, historical, a named topic, the dead letters.
 */
export interface Routed {
  readonly uuid: string;
  readonly lane: Lane;
  /** A topic that an operator has named; goes before the one of the lane. */
  readonly topic: string | undefined;
  /** Its record has no key, so it may land on any partition. */
  readonly isKeyless: boolean;
  /** Headers that only some records have. */
  readonly extraHeaders: Readonly<Record<string, string>> | undefined;
}

/** The topic of its record. */
export const topicOf = ({ topic, lane }: Routed, topics: CaptureTopics): string => topic ?? topics[lane];

/** The same with headers added to those that it has. */
export function withHeaders<E extends Routed>(one: E, headers: Readonly<Record<string, string>>): E {
  return { ...one, extraHeaders: { ...one.extraHeaders, ...headers } };
}

/** Header that tells ingestion to make no person of an event. */
export const NO_PERSON: Readonly<Record<string, string>> = { force_disable_person_processing: 'true' };
