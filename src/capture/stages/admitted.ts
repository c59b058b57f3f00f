import { invalidToken } from '../answers.ts';
import type { Batch, Stage, Take, Verdict } from '../batch.ts';
import type { RawEvent } from '../shapes.ts';
import type { KnownToken, TokenRegistry } from '../tokens/registry.ts';

export interface AdmissionSettings {
  /** Tokens that are taken whatever a registry says. */
  readonly listed: readonly string[];
  /** Whether a token is refused that is neither listed nor in the registry. */
  readonly refusesUnknown: boolean;
  /** Undefined: no token has settings. */
  readonly registry: TokenRegistry | undefined;
}

/** Every token, everywhere. */
export const ADMITS_ALL: AdmissionSettings = { listed: [], refusesUnknown: false, registry: undefined };

/**
 * Refuses tokens that an operator does not want, here or at all (spec/capture.md 5.4; 16.1, rows 29 and 30), with the 401 of a malformed one: no
 * retry can cure it. Hands on what is laid down for the token to the stages behind. Where Redis does not answer, every token is wanted.
 */
export function admitted({ listed, refusesUnknown, registry }: AdmissionSettings): Stage<RawEvent> {
  if (registry === undefined && !refusesUnknown) return (next) => next;
  const tokens = new Set(listed);

  function proceed(known: KnownToken, batch: Batch<RawEvent>, next: Take<RawEvent>): Promise<Verdict> {
    const { token, exchange } = batch;
    if (known === 'unanswered') return next(batch);
    if (known === 'none') return refusesUnknown && !tokens.has(token) ? refused('unknown') : next(batch);
    if (!known.isEnabled) return refused('disabled');
    if (known.endpoints !== undefined && !known.endpoints.has(exchange.route.path)) return refused('endpoint_not_allowed');
    return next({ ...batch, settings: known });
  }

  return (next) => (batch) => {
    const known = registry === undefined ? 'none' : registry.of(batch.token);
    return known instanceof Promise ? known.then((late) => proceed(late, batch, next)) : proceed(known, batch, next);
  };
}

const refused = (why: string): Promise<Verdict> => Promise.resolve({ type: 'refused', answer: invalidToken(why) });
