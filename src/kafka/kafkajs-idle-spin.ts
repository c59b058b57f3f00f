import { createRequire } from 'node:module';

/**
 * kafkajs 2.2.4 keeps one timer per broker connection re-arming itself every millisecond for as long as the connection
 * lives, also when there is nothing to wait for: 24-31 ms of CPU per idle second. The timer exists to send requests that
 * were held back, by the broker's throttle or by the limit of requests in flight. A request that is held back arms it
 * itself, so with nothing pending it has no purpose and is not armed.
 */
interface RequestQueue {
  readonly pending: readonly unknown[];
  scheduleCheckPendingRequests(): void;
}

const patched = new WeakSet<object>();

/** Patches kafkajs in this process; further calls do nothing. @throws Error when kafkajs is not the version this patch is for. */
export function installIdleSpinPatch(): void {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { prototype: RequestQueue };
  if (patched.has(prototype)) return;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
  const original = prototype.scheduleCheckPendingRequests;
  if (typeof original !== 'function') throw new Error('kafkajs changed inside: the idle-spin patch fits 2.2.4 only');
  prototype.scheduleCheckPendingRequests = function scheduleWhenNeeded(this: RequestQueue): void {
    if (this.pending.length > 0) original.call(this);
  };
  patched.add(prototype);
}
