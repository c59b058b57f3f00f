import { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { installIdleSpinPatch } from '../../../src/kafka/kafkajs-idle-spin.ts';

interface Queue {
  push(request: object): void;
  fulfillRequest(response: object): void;
  maybeThrottle(ms: number): void;
}
type QueueClass = new (options: object) => Queue;

const logger = { debug: () => undefined, warn: () => undefined };

describe('idle-spin patch of kafkajs', () => {
  let queue: Queue;
  let sent: number[];
  const request = (correlationId: number): object => ({
    entry: { correlationId, resolve: () => undefined, reject: () => undefined },
    expectResponse: true,
    sendRequest: () => sent.push(correlationId),
  });
  const answer = (correlationId: number): void => queue.fulfillRequest({ correlationId, payload: null, size: 0 });

  beforeEach(() => {
    vi.useFakeTimers();
    installIdleSpinPatch();
    installIdleSpinPatch();
    sent = [];
    const RequestQueue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as QueueClass;
    queue = new RequestQueue({ maxInFlightRequests: 1, requestTimeout: 1_000, clientId: 'c', broker: 'b', logger });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('leaves no timer behind when the last answer has come', () => {
    queue.push(request(1));
    answer(1);
    expect(sent).toEqual([1]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('still sends a request that waited for another, as soon as that is answered', () => {
    queue.push(request(1));
    queue.push(request(2));
    expect(sent).toEqual([1]);
    answer(1);
    expect(sent).toEqual([1, 2]);
    answer(2);
    vi.advanceTimersByTime(50);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('still sends a request that a throttle held back, when the throttle ends', () => {
    queue.maybeThrottle(300);
    queue.push(request(1));
    vi.advanceTimersByTime(299);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(15);
    expect(sent).toEqual([1]);
    answer(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
