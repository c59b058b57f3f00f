import type { Envelope } from './event.ts';
import type { DropReason } from './outcome.ts';
import { cut, MAX_DISTINCT_ID_LENGTH, toJsonText } from './strings.ts';
import { isUuid } from './uuid.ts';
import { warning, type IngestionWarning } from './warnings.ts';

/** Why a record of a known team is not let in. */
export interface Refusal {
  readonly reason: DropReason;
  readonly warning: IngestionWarning;
}

/**
 * T-4 and T-8, as the newest generation does: a uuid that is none, or a distinct id no mapping can hold, drops the event
 * with a warning for its team. Asked on the envelope, before `data` is parsed.
 */
export function refusalOf(envelope: Envelope): Refusal | undefined {
  if (!isUuid(envelope.uuid)) {
    return {
      reason: 'invalid_uuid',
      warning: warning('skipping_event_invalid_uuid', { eventUuid: toJsonText(envelope.uuid) }),
    };
  }
  if (envelope.distinctId.length > MAX_DISTINCT_ID_LENGTH) {
    return {
      reason: 'invalid_distinct_id',
      warning: warning('skipping_event_invalid_distinct_id', {
        eventUuid: envelope.uuid,
        distinctId: cut(envelope.distinctId, MAX_DISTINCT_ID_LENGTH),
      }),
    };
  }
  return undefined;
}
