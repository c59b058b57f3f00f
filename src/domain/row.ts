import { elementsChainOf } from './elements.ts';
import type { PendingEvent, PluginEvent } from './event.ts';
import type { EventRow } from './rows.ts';
import { escapeLoneSurrogates, toJsonText, toText } from './strings.ts';
import { isUuid } from './uuid.ts';

/** N-20: longest event name, in UTF-16 units. */
const MAX_EVENT_NAME_LENGTH = 200;

/** All of a row that does not come from the event itself. */
export interface RowParts {
  readonly pending: PendingEvent;
  /** Resolved by rules TS-1..TS-8 (timestamp.ts). */
  readonly timestampMs: number;
  /** Wall clock. */
  readonly createdAtMs: number;
  readonly personId: string;
  readonly personCreatedAtMs: number;
  /** JSON text (3.8); '{}' for a personless event. */
  readonly personProperties: string;
  readonly personMode: EventRow['personMode'];
  /** PP-3: 'personless' events keep their flag and lose `$group_0..4`; a forced upgrade is personless too. */
  readonly processing: 'full' | 'personless';
  /** posthog_team.anonymize_ips (IP-1). */
  readonly anonymizeIps: boolean;
}

/**
 * The event's row, the last thing made of an event: takes off its properties what is not stored (IP-1, PP-1, PP-3, E-1)
 * and writes them as text. The team is the record's own, whatever a plugin wrote (PE-2), and so is the uuid when a
 * plugin's is none.
 *
 * @throws TypeError or RangeError when the properties have no JSON text: a cycle, a BigInt, a nesting beyond the stack.
 *   Only a plugin can make such a value; the event is then `processing_error`.
 */
export function buildEventRow(event: PluginEvent, parts: RowParts): EventRow {
  const { properties } = event;
  if (parts.anonymizeIps && properties['$ip']) properties['$ip'] = undefined;
  const elementsChain = takeElementsChain(event);
  if (parts.processing === 'full') {
    if (properties['$process_person_profile'] !== undefined) properties['$process_person_profile'] = undefined;
  } else {
    properties['$process_person_profile'] = false;
    for (const name of GROUP_PROPERTIES) if (properties[name] !== undefined) properties[name] = undefined;
  }
  return {
    uuid: storedUuid(event, parts.pending),
    event: eventName(event.event),
    properties: JSON.stringify(properties),
    timestampMs: parts.timestampMs,
    teamId: parts.pending.teamId,
    distinctId: event.distinct_id,
    elementsChain,
    createdAtMs: parts.createdAtMs,
    personId: parts.personId,
    personProperties: parts.personProperties,
    personCreatedAtMs: parts.personCreatedAtMs,
    personMode: parts.personMode,
    pending: parts.pending,
  };
}

/** The uuid of all rows that an event makes: a plugin's when it is one, else the record's own. */
export function storedUuid(event: PluginEvent, { envelope }: PendingEvent): string {
  return (isUuid(event.uuid) ? event.uuid : String(envelope.uuid)).toLowerCase();
}

const GROUP_PROPERTIES = ['$group_0', '$group_1', '$group_2', '$group_3', '$group_4'] as const;

/** N-20, then N-21: a cut through a surrogate pair leaves half of one. */
function eventName(name: unknown): string {
  const text = typeof name === 'string' ? name : toJsonText(name);
  return escapeLoneSurrogates(text.length > MAX_EVENT_NAME_LENGTH ? text.slice(0, MAX_EVENT_NAME_LENGTH) : text);
}

/** E-1, E-2: the chain, given or converted; its sources leave the stored properties unless the conversion failed. */
function takeElementsChain(event: PluginEvent): string {
  const { properties } = event;
  const given = properties['$elements_chain'];
  const elements = properties['$elements'];
  if (given === undefined && elements === undefined) return '';
  const chain = given ? toText(given) : elements ? elementsChainOf(elements) : '';
  if (chain === undefined) return '';
  properties['$elements_chain'] = undefined;
  properties['$elements'] = undefined;
  return escapeLoneSurrogates(chain);
}
