import { isAscii } from 'node:buffer';
import type { Envelope, Json } from './event.ts';
import { asJsonObject, isJsonObject } from './json.ts';
import type { DeadLetterReason } from './outcome.ts';
import { cleanDistinctId, cut, messageOf, toText } from './strings.ts';
import { lookupToken } from './token.ts';

/** Why a record cannot become an event; `detail` is for people, `reason` for the outcome. */
export interface ParseFailure {
  readonly ok: false;
  readonly reason: DeadLetterReason;
  readonly detail: string;
}
export type EnvelopeResult = { readonly ok: true; readonly envelope: Envelope } | ParseFailure;

/** posthog_team.id is a PostgreSQL integer; a larger number would fail the lookup of all tokens beside it. */
const MAX_TEAM_ID = 2_147_483_647;

/**
 * Reads the outer JSON of a Kafka value (spec 1.3) and checks every field the pipeline uses. Never throws: whatever
 * the bytes are, the answer is an Envelope or a reason (K-21 as the newest generation does it: a poison record costs
 * itself alone). Fields of a wrong type:
 * - `distinct_id`, `token`: their text (N-1). Absent ones, and an absent `uuid`, are looked for in the inner object, where K-20 finds them.
 * - `ip`, `site_url`, `sent_at`: as if absent. `uuid`, `now`: kept as they are, rules T-4 and TS-1 judge them.
 * - `team_id`: as if absent, but where it names the team (`trustTeamId`, T-2). There it is refused, as `data` is: nothing right can be
 *   made of it.
 */
export function parseEnvelope(value: Buffer | null, { trustTeamId = false }: { readonly trustTeamId?: boolean } = {}): EnvelopeResult {
  if (value === null) return failed('failed_parse_message', 'the value is null');
  let fields: unknown;
  try {
    // ASCII bytes read as latin1 cost half of a UTF-8 decode (docs/measured.md) and give the same string.
    fields = JSON.parse(value.toString(isAscii(value) ? 'latin1' : 'utf8'));
  } catch (error) {
    return failed('failed_parse_message', `the value is not JSON: ${messageOf(error)}`);
  }
  if (!isJsonObject(fields)) return failed('failed_parse_message', 'the value is not a JSON object');

  const data = fields['data'];
  if (typeof data !== 'string') return failed('failed_parse_message', data === undefined ? 'data is missing' : 'data is not a string');
  const teamId = fields['team_id'];
  if (trustTeamId && teamId && !isTeamId(teamId)) return failed('failed_parse_event', 'team_id is not a positive 32-bit integer');

  let distinctId = fields['distinct_id'];
  let token = fields['token'];
  let uuid = fields['uuid'];
  if (distinctId === undefined || uuid === undefined || (token === undefined && !(trustTeamId && teamId))) {
    const inner = innerFields(data);
    if (uuid === undefined) uuid = inner?.['uuid'];
    if (distinctId === undefined) distinctId = inner?.['distinct_id'];
    if (token === undefined) token = inner?.['token'];
  }
  return {
    ok: true,
    envelope: {
      uuid,
      distinctId: cleanDistinctId(distinctId),
      ip: textOrUndefined(fields['ip']),
      siteUrl: textOrUndefined(fields['site_url']),
      data,
      sentAt: textOrUndefined(fields['sent_at']),
      token: token ? lookupToken(toText(token)) : undefined,
      teamId: isTeamId(teamId) ? teamId : undefined,
      fields,
    },
  };
}

/**
 * Lets go of what only the parsing needs. An event in flight lives for a block's time and is carried by the garbage collector
 * meanwhile; the bytes themselves stay with the record, outside of its heap. Call it when nothing will parse this envelope again.
 */
export function forgetContent(envelope: Envelope): void {
  const writable = envelope as { -readonly [Key in keyof Envelope]: Envelope[Key] };
  writable.data = '';
  writable.ip = undefined;
  writable.siteUrl = undefined;
  writable.sentAt = undefined;
  writable.token = undefined;
  writable.fields = NO_FIELDS;
}
const NO_FIELDS: Json = Object.freeze({});

/** The inner object, for the few producers that leave `distinct_id`, `uuid` or `token` out of the envelope. */
function innerFields(data: string): Json | undefined {
  try {
    return asJsonObject(JSON.parse(data));
  } catch {
    return undefined; // parseEvent says so, with the reason
  }
}

function isTeamId(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= MAX_TEAM_ID;
}

function textOrUndefined(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Builds a {@link ParseFailure}. */
export function failed(reason: DeadLetterReason, detail: string): ParseFailure {
  return { ok: false, reason, detail: cut(detail, 500) };
}
