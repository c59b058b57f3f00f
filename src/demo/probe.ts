import type { Clock } from '../runtime/clock.ts';

/** How long an event takes from the HTTP request to a row that a query sees, measured from outside while the shop is busy. */
export interface Probe {
  /** Sends no more; resolves when every probe was seen, or rejects after `limitMs`. */
  finish(limitMs: number): Promise<{ readonly sent: number; readonly p50Ms: number; readonly p99Ms: number }>;
}

export function startProbe(options: {
  readonly host: string;
  readonly token: string;
  readonly clock: Clock;
  readonly everyMs: number;
  /** Which of these uuids have a visible row. */
  readonly visible: (uuids: readonly string[]) => Promise<readonly string[]>;
  readonly newUuid: () => string;
}): Probe {
  const { clock } = options;
  const waiting = new Map<string, number>();
  const latencies: number[] = [];
  let sent = 0;
  let sending = true;

  const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));

  async function send(): Promise<void> {
    while (sending) {
      const uuid = options.newUuid();
      const startedMs = clock.monotonic();
      const answer = await fetch(`${options.host}/capture/`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ api_key: options.token, event: 'probe', distinct_id: 'probe', uuid }),
      });
      await answer.arrayBuffer();
      if (answer.ok) {
        sent++;
        waiting.set(uuid, startedMs);
      }
      await pause(options.everyMs);
    }
  }

  async function watch(): Promise<void> {
    while (sending || waiting.size > 0) {
      if (waiting.size > 0) {
        for (const uuid of await options.visible([...waiting.keys()])) {
          const startedMs = waiting.get(uuid);
          if (startedMs !== undefined && waiting.delete(uuid)) latencies.push(clock.monotonic() - startedMs);
        }
      }
      await pause(20);
    }
  }

  const sends = send();
  const watches = watch();
  const ended = Promise.all([sends, watches]);

  return {
    async finish(limitMs) {
      sending = false;
      const late = pause(limitMs).then(() => {
        if (waiting.size > 0) throw new Error(`${waiting.size} probe events were answered 200 and are not visible after ${limitMs} ms`);
      });
      await Promise.race([ended, late.then(() => ended)]);
      latencies.sort((a, b) => a - b);
      const at = (ratio: number): number =>
        Math.round(latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * ratio))] ?? 0);
      return { sent, p50Ms: at(0.5), p99Ms: at(0.99) };
    },
  };
}
