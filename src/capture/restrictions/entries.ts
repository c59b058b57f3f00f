import { isJsonObject } from '../../domain/json.ts';
import { PIPELINES, type Pipeline, type Restriction, type RestrictionType } from './rules.ts';

export interface Entries {
  readonly restrictions: readonly Restriction[];
  /** Entries that were left out: where each stood, and what is wrong with it. */
  readonly faults: readonly { readonly index: number; readonly problem: string }[];
}

/**
 * Reads what Redis has for a type: a JSON array of entries of version 2. Entries of older versions, and those for pipelines that are not here, are
 * passed over: they are not meant for us. A malformed entry costs itself. Undefined when the text is no JSON array.
 *
 * @param topics those that a `redirect_to_topic` may name: a topic that nobody made would hold its events in the spill
 */
export function readEntries(type: RestrictionType, text: string, topics: ReadonlySet<string>): Entries | undefined {
  const values = parsed(text);
  if (!Array.isArray(values)) return undefined;
  const restrictions: Restriction[] = [];
  const faults: { index: number; problem: string }[] = [];
  for (const [index, value] of (values as readonly unknown[]).entries()) {
    const entry = readEntry(type, value, topics);
    if (typeof entry === 'string') faults.push({ index, problem: entry });
    else if (entry !== undefined) restrictions.push(entry);
  }
  return { restrictions, faults };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // whoever reads this says so: no JSON, no array
  }
}

/** What is wrong with it, or undefined when it is not for us. */
function readEntry(type: RestrictionType, value: unknown, topics: ReadonlySet<string>): Restriction | string | undefined {
  if (!isJsonObject(value)) return 'no object';
  if (value['version'] !== 2) return undefined;
  const { token } = value;
  if (typeof token !== 'string' || token === '') return 'no token';
  const pipelines = texts(value['pipelines']);
  if (pipelines === undefined) return 'pipelines is no list of texts';
  const ours = new Set(PIPELINES.filter((pipeline: Pipeline) => pipelines.includes(pipeline)));
  if (ours.size === 0) return undefined;
  const filters: Partial<Record<string, ReadonlySet<string>>> = {};
  for (const field of ['distinct_ids', 'session_ids', 'event_names', 'event_uuids']) {
    const wanted = texts(value[field]);
    // Left out, the filter would hold all: a typo must not drop the events of everybody.
    if (wanted === undefined) return `${field} is no list of texts`;
    if (wanted.length > 0) filters[field] = new Set(field === 'event_uuids' ? wanted.map((uuid) => uuid.toLowerCase()) : wanted);
  }
  const topic = type === 'redirect_to_topic' ? topicIn(value['args']) : undefined;
  if (type === 'redirect_to_topic' && topic === undefined) return 'args has no topic';
  if (topic !== undefined && !topics.has(topic)) return `the topic ${topic} is not among those that may be written to`;
  return {
    type,
    token,
    pipelines: ours,
    distinctIds: filters['distinct_ids'],
    sessionIds: filters['session_ids'],
    eventNames: filters['event_names'],
    eventUuids: filters['event_uuids'],
    topic,
  };
}

/** What is missing, or null, is an empty list. */
function texts(value: unknown): readonly string[] | undefined {
  const list: unknown = value ?? [];
  return Array.isArray(list) && list.every((one) => typeof one === 'string') ? list : undefined;
}

function topicIn(args: unknown): string | undefined {
  const topic = isJsonObject(args) ? args['topic'] : undefined;
  return typeof topic === 'string' && topic !== '' ? topic : undefined;
}
