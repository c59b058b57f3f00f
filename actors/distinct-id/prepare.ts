import { forgetContent } from '../../src/domain/envelope.ts';
import type { PendingEvent, PluginEvent } from '../../src/domain/event.ts';
import type { Finding } from '../../src/domain/findings.ts';
import { normalise, setsOutsidePersonEvents } from '../../src/domain/normalise.ts';
import type { DeadLetterReason, DropReason } from '../../src/domain/outcome.ts';
import { parseEvent } from '../../src/domain/parse-event.ts';
import { decidePersonMode, stripPersonUpdates } from '../../src/domain/person-mode.ts';
import { MAX_DISTINCT_ID_LENGTH, toJsonText } from '../../src/domain/strings.ts';
import { resolveTimestamp } from '../../src/domain/timestamp.ts';
import type { Team } from '../../src/domain/team.ts';
import { isUuid } from '../../src/domain/uuid.ts';
import { warning, type IngestionWarning } from '../../src/domain/warnings.ts';

/** What the rules before plugins make of one record (spec/ingestion.md 1.7, steps 2-5). */
export type Prepared =
  | {
      readonly type: 'event';
      readonly event: PluginEvent;
      readonly mode: 'full' | 'personless';
    }
  /** L-4: a touch map, and nothing else. */
  | { readonly type: 'heatmap'; readonly event: PluginEvent }
  | { readonly type: 'dropped'; readonly reason: DropReason; readonly warning: IngestionWarning | undefined }
  | { readonly type: 'poison'; readonly reason: DeadLetterReason; readonly detail: string };

/** What is to be said of an event besides what becomes of it. */
export interface Notes {
  found(finding: Finding): void;
  warn(warning: IngestionWarning): void;
}

export function prepare(pending: PendingEvent, team: Team, wallClockMs: number, notes: Notes): Prepared {
  const { envelope } = pending;
  if (!isUuid(envelope.uuid)) {
    // T-4, as the newest generation has it: the team is told, and the event ends here.
    return {
      type: 'dropped',
      reason: 'invalid_uuid',
      warning: warning('skipping_event_invalid_uuid', { eventUuid: toJsonText(envelope.uuid) }),
    };
  }
  if (envelope.distinctId.length > MAX_DISTINCT_ID_LENGTH) {
    const details = { eventUuid: envelope.uuid, distinctId: envelope.distinctId };
    return { type: 'dropped', reason: 'invalid_distinct_id', warning: warning('skipping_event_invalid_distinct_id', details) };
  }
  const sentId = envelope.fields['distinct_id'];
  if (typeof sentId === 'string' && !sentId.isWellFormed()) notes.found('surrogates-substituted'); // N-21
  const parsed = parseEvent(envelope, pending.teamId);
  if (!parsed.ok) return { type: 'poison', reason: parsed.reason, detail: parsed.detail };
  const { event } = parsed;
  forgetContent(envelope);
  if (setsOutsidePersonEvents(event)) notes.found('set-outside-person-event'); // K-23
  normalise(event);

  // Before whatever else ends an event: the flag of a heatmap or a client warning is looked at too (1.7).
  if (team.personProcessingOptOut || isPersonlessByHeader(pending)) event.properties['$process_person_profile'] = false;
  const decision = decidePersonMode(event);
  if (decision.mode === 'refused') return { type: 'dropped', reason: 'invalid_event_for_flags', warning: decision.warning };
  if (decision.warning !== undefined) notes.warn(decision.warning);

  if (event.event === '$$client_ingestion_warning') {
    const message = event.properties['$$client_ingestion_warning_message'];
    const details = { eventUuid: event.uuid, event: event.event, distinctId: event.distinct_id, message };
    return { type: 'dropped', reason: 'client_ingestion_warning', warning: warning('client_ingestion_warning', details) };
  }
  const tooOld = ageWarning(event, team, wallClockMs, pending.timestampMs);
  if (tooOld !== undefined) return { type: 'dropped', reason: 'too_old', warning: tooOld };
  if (event.event === '$$heatmap') return { type: 'heatmap', event };

  withoutPersonUpdates(event, decision.mode);
  return { type: 'event', event, mode: decision.mode };
}

/** Newer captures say so of ids that they were told to keep out (spec/capture.md 7.2, 7.4); ours does too. */
function isPersonlessByHeader({ headers }: PendingEvent): boolean {
  const header = headers?.['force_disable_person_processing'];
  return (typeof header === 'string' || Buffer.isBuffer(header)) && header.toString() === 'true';
}

/** T-8. By when the event happened, and before plugins, as the newest generation has it. */
function ageWarning(event: PluginEvent, team: Team, wallClockMs: number, recordMs: number): IngestionWarning | undefined {
  const dropThresholdSeconds = team.dropEventsOlderThanS;
  if (dropThresholdSeconds === undefined || dropThresholdSeconds <= 0) return undefined;
  const { timestampMs, nowMs } = resolveTimestamp(event, wallClockMs, recordMs);
  const ageMs = nowMs - timestampMs;
  if (!(ageMs > dropThresholdSeconds * 1_000)) return undefined;
  return warning('event_dropped_too_old', {
    eventUuid: event.uuid,
    event: event.event,
    distinctId: event.distinct_id,
    eventTimestamp: new Date(timestampMs).toISOString(),
    ageInSeconds: Math.floor(ageMs / 1_000),
    dropThresholdSeconds,
  });
}

/** PP-3 and PP-5; again after plugins. */
export function withoutPersonUpdates(event: PluginEvent, mode: 'full' | 'personless'): void {
  if (mode === 'personless' || event.event === '$groupidentify') stripPersonUpdates(event);
}

/** After plugins: what they returned is held to the same rules again. Undefined: the event can go on. */
export function prepareAgain(event: PluginEvent, mode: 'full' | 'personless'): string | undefined {
  if (!isUuid(event.uuid)) return `a plugin made the uuid ${toJsonText(event.uuid)}`;
  normalise(event, mode);
  if (event.distinct_id.length > MAX_DISTINCT_ID_LENGTH) return 'a plugin made the distinct_id too long';
  withoutPersonUpdates(event, mode);
  return undefined;
}
