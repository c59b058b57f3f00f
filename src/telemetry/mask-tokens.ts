/** What varies in a log line. */
export type LogFields = Readonly<Record<string, unknown>>;

/** PostHog's keys: of projects (`phc_`), of persons (`phx_`), and whatever it will call the others. */
const KEY = /\bph[a-z]_[A-Za-z0-9_-]{5,}/g;
const SHOWN_CHARACTERS = 8;
/** What is a token by the name of its field, whatever it looks like. */
const TOKEN_FIELDS = new Set(['token', 'api_key', 'apiKey']);
/** Facts are flat, or hold a list; deeper is a bug's object. */
const MAX_DEPTH = 4;

/** `phc_abcd…`: enough to tell whose it is, and none that somebody could send events with. */
export const maskToken = (token: string): string =>
  token.startsWith('ph') ? `${token.slice(0, SHOWN_CHARACTERS)}…` : `${token.slice(0, Math.min(4, token.length >> 1))}…`;

/** Fields of a log line without whole tokens, wherever in a text they stand. The same object when there are none. */
export function withoutTokens(fields: LogFields): LogFields {
  let masked: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    const safe = TOKEN_FIELDS.has(name) && typeof value === 'string' ? maskToken(value) : masking(value, MAX_DEPTH);
    if (safe !== value) (masked ??= { ...fields })[name] = safe;
  }
  return masked ?? fields;
}

function masking(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.includes('ph') ? value.replaceAll(KEY, maskToken) : value;
  if (typeof value !== 'object' || value === null || depth === 0) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => masking(item, depth - 1));
    return items.every((item, at) => item === value[at]) ? value : items;
  }
  // An Error or a Date is written by what it is, not by its fields.
  return Object.getPrototypeOf(value) === Object.prototype ? withoutTokens(value as LogFields) : value;
}
