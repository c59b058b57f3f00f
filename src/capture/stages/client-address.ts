import type { Json } from '../../domain/event.ts';
import { isJsonObject, own, put } from '../../domain/json.ts';
import type { Stage } from '../batch.ts';
import { anonymousAddress } from '../guards/address.ts';
import type { RawEvent } from '../shapes.ts';

/** What becomes of addresses: shortened to their network, or left out. */
export type AddressPolicy = 'anonymise' | 'drop';

const KEY = '$ip';
const ROOTS = ['$set', '$set_once'];

/**
 * Shortens the address of who sent a request, or leaves it out: in the envelopes, in the key of cookieless events, and in `$ip` of properties,
 * `$set` and `$set_once` (spec/capture.md 16.1, row 32). What claims to be one there and is none is taken away. Before `prepare`, which makes the
 * keys. Without addresses all cookieless events of a token have one key.
 */
export function clientAddress(policy: AddressPolicy | undefined): Stage<RawEvent> {
  if (policy === undefined) return (next) => next;
  const policed = (address: unknown): string | undefined =>
    policy === 'drop' || typeof address !== 'string' ? undefined : anonymousAddress(address);

  function without(root: Json): Json {
    if (!Object.hasOwn(root, KEY)) return root;
    const copy: Json = {};
    for (const key in root) {
      const value = key === KEY ? policed(root[key]) : own(root, key);
      if (value !== undefined) put(copy, key, value);
    }
    return copy;
  }

  function properties(given: Json): Json {
    let policedRoot = without(given);
    for (const name of ROOTS) {
      const inner = own(policedRoot, name);
      if (!isJsonObject(inner) || !Object.hasOwn(inner, KEY)) continue;
      if (policedRoot === given) policedRoot = { ...given };
      policedRoot[name] = without(inner);
    }
    return policedRoot;
  }

  return (next) => (batch) =>
    next({
      ...batch,
      ip: policed(batch.ip) ?? '',
      events: batch.events.map((event) => ({
        ...event,
        properties: properties(event.properties),
        set: event.set && without(event.set),
        setOnce: event.setOnce && without(event.setOnce),
      })),
    });
}
