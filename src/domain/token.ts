import type { Envelope } from './event.ts';

/**
 * Drop lists by token: parsed once from configuration, asked once per record before anything is looked up. Two questions, because the
 * overflow limiter stands between them: a blocked token spends no tokens of a bucket, a disallowed id does.
 */
export interface DropList {
  /** B-2: dropped `blocked_token`. */
  blocks(envelope: Pick<Envelope, 'token'>): boolean;
  /** T-1: dropped `disallowed`. A record without a token is asked by its team id. */
  disallows(envelope: Pick<Envelope, 'token' | 'teamId' | 'distinctId'>): boolean;
  /** Entries without a colon where `key:distinct_id` was expected: they can match nothing, so say so at start. */
  readonly malformed: readonly string[];
}

/** A list that lets everything through. */
export const EMPTY_DROP_LIST: DropList = { blocks: () => false, disallows: () => false, malformed: [] };

/**
 * Reads DROP_EVENTS_BY_TOKEN and DROP_EVENTS_BY_TOKEN_DISTINCT_ID: comma lists, blanks around entries ignored. An entry
 * of the second is split at its FIRST colon into a key (token, or team id as text) and a distinct id, `*` for all.
 */
export function parseDropList(settings: { readonly byToken: string; readonly byTokenDistinctId: string }): DropList {
  const tokens = new Set(entriesOf(settings.byToken));
  const { distinctIds, malformed } = parsePairs(settings.byTokenDistinctId);
  return {
    malformed,
    blocks: ({ token }) => token !== undefined && tokens.has(token),
    disallows({ token, teamId, distinctId }) {
      if (distinctIds.size === 0) return false;
      const key = token ?? (teamId === undefined ? undefined : String(teamId));
      const ids = key === undefined ? undefined : distinctIds.get(key);
      return ids !== undefined && (ids === 'all' || ids.has(distinctId));
    },
  };
}

function parsePairs(list: string): {
  readonly distinctIds: ReadonlyMap<string, ReadonlySet<string> | 'all'>;
  readonly malformed: readonly string[];
} {
  const distinctIds = new Map<string, Set<string> | 'all'>();
  const malformed: string[] = [];
  for (const entry of entriesOf(list)) {
    const colon = entry.indexOf(':');
    if (colon <= 0) {
      malformed.push(entry);
      continue;
    }
    const key = entry.slice(0, colon);
    const distinctId = entry.slice(colon + 1);
    const known = distinctIds.get(key);
    if (known === 'all') continue;
    if (distinctId === '*') distinctIds.set(key, 'all');
    else if (known === undefined) distinctIds.set(key, new Set([distinctId]));
    else known.add(distinctId);
  }
  return { distinctIds, malformed };
}

function entriesOf(list: string): string[] {
  return list
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/** posthog_team.api_token is varchar(200). */
const MAX_TOKEN_LENGTH = 200;
const NO_TEAMS_TOKEN = '(longer than any token)';

/**
 * A client's token as it may be looked up and cached: what cannot be any team's token (too long, U+0000, half a
 * surrogate pair) becomes one short text that no team has, so that it neither fails a statement nor fills a cache.
 */
export function lookupToken(token: string): string {
  return token.length <= MAX_TOKEN_LENGTH && !token.includes('\0') && token.isWellFormed() ? token : NO_TEAMS_TOKEN;
}
