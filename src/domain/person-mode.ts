import type { PluginEvent } from './event.ts';
import type { EventRow } from './rows.ts';
import { warning, type IngestionWarning } from './warnings.ts';

/** What `$process_person_profile` asks for (PP-1..PP-4), decided once, before plugins. */
export interface PersonModeDecision {
  /** 'refused': the event ends as dropped(invalid_event_for_flags). */
  readonly mode: 'full' | 'personless' | 'refused';
  readonly warning: IngestionWarning | undefined;
}

const FULL: PersonModeDecision = { mode: 'full', warning: undefined };
const PERSONLESS: PersonModeDecision = { mode: 'personless', warning: undefined };

const NEEDS_PERSON: ReadonlySet<string> = new Set(['$identify', '$create_alias', '$merge_dangerously', '$groupidentify']);

/** PP-1..PP-4. Absent or true: full. False: personless, or refused for the events that make no sense without a person. */
export function decidePersonMode(event: PluginEvent): PersonModeDecision {
  const flag = event.properties['$process_person_profile'];
  if (flag === undefined || flag === true) return FULL;
  const details = { eventUuid: event.uuid, event: event.event, distinctId: event.distinct_id };
  if (flag === false) {
    if (!NEEDS_PERSON.has(event.event)) return PERSONLESS;
    return { mode: 'refused', warning: warning('invalid_event_when_process_person_profile_is_false', details) };
  }
  return {
    mode: 'full',
    warning: warning('invalid_process_person_profile', {
      ...details,
      $process_person_profile: flag,
      message: 'Only a boolean value is valid for the $process_person_profile property',
    }),
  };
}

/**
 * PP-3 (personless) and PP-5 (`$groupidentify`): takes every person update off the event; before plugins, and after.
 * Keys are set to undefined, which JSON leaves out: `delete` would turn the object into a slow dictionary.
 */
export function stripPersonUpdates(event: PluginEvent): void {
  const { properties } = event;
  if (event['$set'] !== undefined) event['$set'] = undefined as never;
  if (event['$set_once'] !== undefined) event['$set_once'] = undefined as never;
  if (event['$unset'] !== undefined) event['$unset'] = undefined;
  if (properties['$set'] !== undefined) properties['$set'] = undefined;
  if (properties['$set_once'] !== undefined) properties['$set_once'] = undefined;
  if (properties['$unset'] !== undefined) properties['$unset'] = undefined;
}

/** PP-6 and Q-3: the stored mode. `forceUpgrade` wins. */
export function storedPersonMode(mode: 'full' | 'personless', person: { readonly forceUpgrade: boolean }): EventRow['personMode'] {
  if (person.forceUpgrade) return 'force_upgrade';
  return mode === 'personless' ? 'propertyless' : 'full';
}

/** a personless event more than a minute younger than the person it belongs to. */
export function isForceUpgrade(eventMs: number, personCreatedAtMs: number): boolean {
  return eventMs > personCreatedAtMs + 60_000;
}

/** created_at of the person a personless event is given while none exists (1970-01-01 00:00:05). */
export const SYNTHETIC_PERSON_CREATED_AT_MS = 5_000;
