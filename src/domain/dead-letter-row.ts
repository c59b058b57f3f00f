import type { Json } from './event.ts';
import { asJsonObject, isTooDeep } from './json.ts';
import type { SideRow } from './rows.ts';
import { toJsonText, toText } from './strings.ts';
import { clampStoredMs, parseIsoMs } from './time.ts';
import { isUuid, uuidV5 } from './uuid.ts';

/** A record of a known team that ended as a dead letter. */
export interface DeadLetteredRecord {
  readonly value: Buffer | null;
  readonly teamId: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Where it was found: `router`, `team`, `distinct-id:<stage>`, or a writer. */
  readonly origin: string;
  readonly detail: string;
}

/** 6f1c0d5e-3d55-4a53-9a0e-5a1f3f6f7a11: of ids of dead-letter rows. */
const NAMESPACE = Uint8Array.of(0x6f, 0x1c, 0x0d, 0x5e, 0x3d, 0x55, 0x4a, 0x53, 0x9a, 0x0e, 0x5a, 0x1f, 0x3f, 0x6f, 0x7a, 0x11);
const NO_UUID = '00000000-0000-0000-0000-000000000000';

/** PostHog's names of the steps (1.7), by where we found the fault. */
const STEP_OF_ORIGIN: Readonly<Record<string, string>> = {
  'distinct-id:prepare': 'populateTeamDataStep',
  'distinct-id:plugins': 'pluginsProcessEventStep',
  'distinct-id:normalise': 'normalizeEventStep',
  'distinct-id:group-types': 'prepareEventStep',
  'distinct-id:upserting': 'prepareEventStep',
  'distinct-id:fold': 'processPersonsStep',
  'distinct-id:write': 'processPersonsStep',
  'distinct-id:merging': 'processPersonsStep',
  'distinct-id:loading': 'processPersonsStep',
  'distinct-id:row': 'createEventStep',
  'clickhouse-writer': 'createEventStep',
  'kafka-writer': 'createEventStep',
};
/** A crash, or a place that PostHog has not. */
const ANY_STEP = 'runEventPipeline';

/**
 * 4.7, L-2: what a team sees of an event of its own that could not be ingested. The event is what can be read of the record, which may
 * be little; its bytes are in the dead-letter topic. The id follows from the record's place, so that a replay makes the same row (PostHog's is a new one).
 */
export function deadLetterRow(record: DeadLetteredRecord, nowMs: number): Extract<SideRow, { table: 'events_dead_letter_queue' }> {
  const { teamId, topic, partition, offset, origin, detail } = record;
  const text = record.value?.toString('utf8') ?? '';
  const event = readEvent(text);
  const sentMs = typeof event['now'] === 'string' ? parseIsoMs(event['now']) : Number.NaN;
  const field = (name: string): string => (typeof event[name] === 'string' ? event[name] : '');
  return {
    table: 'events_dead_letter_queue',
    id: uuidV5(NAMESPACE, `${topic}:${partition}:${offset}`),
    teamId,
    eventUuid: isUuid(event['uuid']) ? event['uuid'].toLowerCase() : NO_UUID,
    event: event['event'] === undefined ? '' : toText(event['event']),
    distinctId: event['distinct_id'] === undefined ? '' : toText(event['distinct_id']),
    properties: toJsonText(asJsonObject(event['properties']) ?? {}),
    elementsChain: field('elements_chain'),
    ip: field('ip'),
    siteUrl: field('site_url'),
    nowMs: Number.isNaN(sentMs) ? undefined : clampStoredMs(sentMs),
    createdAtMs: nowMs,
    errorTimestampMs: nowMs,
    errorLocation: `plugin_server_ingest_event:${STEP_OF_ORIGIN[origin] ?? ANY_STEP}`,
    error: `Event ingestion failed. Error: ${detail}`,
    rawPayload: Object.keys(event).length === 0 ? JSON.stringify(text) : JSON.stringify(event),
    tags: ['plugin_server', 'ingest_event'],
  };
}

/** As K-20 puts it together, as far as it can be read. What nests too deep for any JSON function is left as text. */
function readEvent(text: string): Json {
  const fields = parsed(text) ?? {};
  const { data, ...outer } = fields;
  const inner = typeof data === 'string' ? parsed(data) : undefined;
  return inner === undefined ? fields : { ...inner, ...outer };
}

function parsed(text: string): Json | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // that is why it is a dead letter
  }
  return isTooDeep(value) ? undefined : asJsonObject(value);
}
