import type { Answer } from '../answers.ts';
import type { Drop } from '../batch.ts';

/** One event of the answer (spec/capture.md 12). The client sends `retry` again, and nothing else. */
export type EventResult = { readonly result: 'ok' } | { readonly result: 'drop' | 'warning' | 'retry'; readonly details: string };

export type Results = ReadonlyMap<string, EventResult>;

const DOCUMENTATION = 'https://posthog.com/docs/api/capture';
const RETRY_AFTER_S = '1';

/** The same refusal as v0 gives, in the shape of v1: JSON, and a Retry-After with whatever passes. */
export function jsonError({ status, body, reason, headers }: Answer): Answer {
  return {
    status,
    body: JSON.stringify({ error: reason, error_description: body, error_uri: DOCUMENTATION }),
    contentType: 'application/json',
    reason,
    headers: { ...(status === 429 || status >= 500 ? { 'Retry-After': RETRY_AFTER_S } : {}), ...headers },
  };
}

export function resultsAnswer(results: Results): Answer {
  const isRetried = [...results.values()].some(({ result }) => result === 'retry');
  return {
    status: 200,
    body: JSON.stringify({ results: Object.fromEntries(results) }),
    contentType: 'application/json',
    // Counted as what it is, although the request was answered.
    reason: isRetried ? 'retryable_sink' : undefined,
    ...(isRetried ? { headers: { 'Retry-After': RETRY_AFTER_S } } : {}),
  };
}

/** A duplicate is stored: that is all the client wants to know. */
export function dropped({ cause }: Drop): EventResult {
  return cause === 'duplicate' ? { result: 'ok' } : { result: 'drop', details: cause };
}
