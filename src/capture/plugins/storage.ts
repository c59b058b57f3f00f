import type { Clock } from '../../runtime/clock.ts';
import type { RecordsByTopic } from '../records.ts';
import type { EventSink, SinkResult } from '../sink.ts';
import type { Opened } from './open.ts';
import type { PluginRecord, StoragePlugin } from './plugin.ts';

/** A sink with the plugins of kind storage beside and behind it. */
export interface StoringSink extends EventSink {
  /** Resolves when no mirror is at work any more: within the time of a call. */
  settled(): Promise<void>;
}

/** Bytes of records that all mirrors together may be at work with; beyond it they are left out, and counted as skipped. */
const MIRRORED_BYTES = 32 << 20;
/** Of the time of a request, what is kept for fallbacks when the inner sink uses up all of it. */
const FALLBACK_SHARE = 0.1;

/**
 * Role: another sink's records go to plugins too.
 *
 * P1 Nobody waits for a mirror: it gets what is durable already, its failures change no answer, and it holds a bounded number of bytes.
 * P2 A fallback gets only what the other sink has not, and its word counts as durable: the first one that takes it ends the search.
 * P3 All of it stays within the limit that the caller gave. Fallbacks have what the inner sink left of it, a tenth at least.
 */
export function storing(inner: EventSink, plugins: readonly Opened<StoragePlugin>[], clock: Clock): StoringSink {
  const mirrors = plugins.filter(({ plugin }) => plugin.role === 'mirror');
  const fallbacks = plugins.filter(({ plugin }) => plugin.role === 'fallback');
  const working = new Set<Promise<unknown>>();
  let mirroredBytes = 0;

  async function give({ plugin, caller }: Opened<StoragePlugin>, records: readonly PluginRecord[], withinMs?: number): Promise<boolean> {
    const session = caller.begin(withinMs);
    try {
      const called = await session.run(
        () => plugin.process(records, { signal: session.signal }),
        () => true,
      );
      return called.type === 'done';
    } finally {
      session.end();
    }
  }

  /** P1 */
  function mirror(records: RecordsByTopic): void {
    if (mirrors.length === 0) return;
    const flat = recordsOf(records);
    const bytes = flat.reduce((sum, { value }) => sum + value.length, 0);
    for (const one of mirrors) {
      if (mirroredBytes + bytes > MIRRORED_BYTES) {
        one.skipped();
        continue;
      }
      mirroredBytes += bytes;
      const work: Promise<unknown> = give(one, flat).finally(() => {
        mirroredBytes -= bytes;
        working.delete(work);
      });
      working.add(work);
    }
  }

  /** P2 */
  async function fallBack(result: Extract<SinkResult, { type: 'unavailable' }>, deadlineMs: number): Promise<SinkResult> {
    const missing = recordsOf(result.missing);
    for (const one of fallbacks) {
      const leftMs = deadlineMs - clock.monotonic();
      if (leftMs <= 0) break;
      if (await give(one, missing, leftMs)) return { type: 'acknowledged', spilled: { code: 'fallback', error: result.error.message } };
    }
    return result;
  }

  return {
    ...(fallbacks.length === 0 && inner.roomBytes !== undefined ? { roomBytes: inner.roomBytes } : {}),
    async send(records, limitMs) {
      const deadlineMs = clock.monotonic() + limitMs;
      const result = await inner.send(records, fallbacks.length === 0 ? limitMs : limitMs * (1 - FALLBACK_SHARE)); // P3
      const ended = result.type === 'unavailable' ? await fallBack(result, deadlineMs) : result;
      if (ended.type === 'acknowledged') mirror(records);
      return ended;
    },
    async settled() {
      while (working.size > 0) await Promise.all(working);
    },
  };
}

function recordsOf(records: RecordsByTopic): readonly PluginRecord[] {
  return [...records].flatMap(([topic, ofTopic]) => ofTopic.map(({ key, value, headers = {} }) => ({ topic, key, value, headers })));
}
