import { own, put } from '../../domain/json.ts';
import { denied } from '../answers.ts';
import type { Batch, Stage } from '../batch.ts';
import { isObject, type RawEvent } from '../shapes.ts';
import { checkToken } from '../token.ts';
import { aboutOf } from './data.ts';
import type { Opened } from './open.ts';
import type { AuthDecision, AuthPlugin } from './plugin.ts';

const MAX_REASON_CHARACTERS = 200;

/**
 * Asks the plugins of kind auth, one after the other, whether this token may send: all must allow, and each may give the token another name, which the
 * next one sees. A plugin that fails lets nobody in (503), unless it has `onError: pass`. For events and recordings; before
 * allow-lists, settings and quotas of tokens, which are those of the new name.
 */
export function authPlugins(plugins: readonly Opened<AuthPlugin>[]): Stage<RawEvent> {
  if (plugins.length === 0) return (next) => next;
  return (next) => async (batch) => {
    let current = batch;
    for (const plugin of plugins) {
      const decision = await decide(plugin, current);
      if (decision === undefined) return { type: 'unavailable' };
      if (!decision.allow) return { type: 'refused', answer: denied(decision.reason) };
      if (decision.token !== undefined && decision.token !== current.token) current = renamed(current, decision.token);
    }
    return next(current);
  };
}

/** Undefined when the plugin failed, and nobody may pass without it. */
async function decide({ plugin, caller, onError }: Opened<AuthPlugin>, batch: Batch<RawEvent>): Promise<AuthDecision | undefined> {
  const session = caller.begin();
  try {
    const headers = Object.freeze({ ...batch.exchange.request.headers });
    const called = await session.run(() => plugin.process({ ...aboutOf(batch, session.signal), headers }), readDecision);
    if (called.type === 'done') return called.value;
    return onError === 'pass' ? { allow: true } : undefined;
  } finally {
    session.end();
  }
}

/** @throws Error when it is none: what is not clearly allowed is a failure. */
function readDecision(given: unknown): AuthDecision {
  if (!isObject(given)) throw new Error('it gave back no decision');
  const { allow, reason, token } = given;
  if (allow === false) return { allow, reason: (typeof reason === 'string' ? reason : 'refused').slice(0, MAX_REASON_CHARACTERS) };
  if (allow !== true) throw new Error('it gave back a decision whose allow is neither true nor false');
  if (token === undefined) return { allow };
  const checked = typeof token === 'string' ? checkToken(token) : undefined;
  if (checked?.ok !== true) throw new Error('it gave back a token that is none');
  return { allow, token: checked.value };
}

/** Under another token: also where the events say it, so that no reader meets the old one. */
function renamed(batch: Batch<RawEvent>, token: string): Batch<RawEvent> {
  const events = batch.events.map((raw) => {
    const properties = { ...raw.properties };
    if (own(properties, 'token') !== undefined) put(properties, 'token', token);
    return { ...raw, token: raw.token === undefined ? undefined : token, properties };
  });
  return { ...batch, token, events };
}
