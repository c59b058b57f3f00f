import type { IncomingMessage } from 'node:http';
import type { Clock } from '../runtime/clock.ts';

export type BodyResult =
  | { readonly type: 'whole'; readonly bytes: Buffer }
  /** Nothing was kept. `connectionUsable` says whether the rest of the upload was read, so that another request may follow. */
  | { readonly type: 'too-large' | 'busy'; readonly connectionUsable: boolean }
  | { readonly type: 'stalled' }
  /** The client is gone; there is nobody to answer. */
  | { readonly type: 'aborted' };

export interface BodyLimits {
  /** Largest body; beyond it nothing of it is kept. */
  readonly wireBytes: number;
  /** A client that sends nothing for this long is given up. */
  readonly bodyIdleMs: number;
  /** A body that has not come as a whole at this time, by the monotonic clock, is given up. */
  readonly lateAtMs: number;
  /** Nothing so large could be kept: it is refused unread. @defaultValue no limit */
  readonly roomBytes?: number;
  /** How long the rest of a refused upload is read (and thrown away), so that the client sees the answer and not a reset. */
  readonly drainMs: number;
}

/** The bytes that all requests together may hold. */
export interface Budget {
  /** Another limit, for what is taken from now on. */
  limit(bytes: number): void;
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export function createBudget(bytesAtFirst: number): Budget {
  let limitBytes = bytesAtFirst;
  let held = 0;
  return {
    limit(bytes) {
      limitBytes = bytes;
    },
    take(bytes) {
      if (held + bytes > limitBytes) return false;
      held += bytes;
      return true;
    },
    give(bytes) {
      held -= bytes;
    },
  };
}

function refusedUnread(bytes: number, { wireBytes, roomBytes = Infinity }: BodyLimits): 'too-large' | 'busy' | undefined {
  if (bytes > wireBytes) return 'too-large';
  return bytes > roomBytes ? 'busy' : undefined;
}

/** Collects a request's body. Whoever gets a `whole` one gives its bytes back to the budget when done with them. */
export function readBody(request: IncomingMessage, limits: BodyLimits, shared: { clock: Clock; budget: Budget }): Promise<BodyResult> {
  const { clock, budget } = shared;
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let kept = 0;
    let received = 0;
    let refused = refusedUnread(Number(request.headers['content-length'] ?? 0), limits);
    let heardAt = clock.monotonic();
    let limit = clock.after(refused === undefined ? patienceMs(heardAt) : limits.drainMs, onLimit);

    let isFinished = false;
    function finish(result: BodyResult): void {
      if (isFinished) return;
      isFinished = true;
      limit.cancel();
      // After a whole body nothing comes but `close`, and its bytes are the taker's to give back.
      if (result.type !== 'whole') {
        request.off('data', onData).off('end', onEnd);
        budget.give(kept);
      }
      resolve(result);
    }
    function turnAway(why: 'too-large' | 'busy'): void {
      refused = why;
      chunks = [];
      budget.give(kept);
      kept = 0;
      limit.cancel();
      limit = clock.after(limits.drainMs, onLimit);
    }
    function onLimit(): void {
      if (refused !== undefined) return finish({ type: refused, connectionUsable: false });
      const leftMs = patienceMs(clock.monotonic());
      if (leftMs <= 0) return finish({ type: 'stalled' });
      limit = clock.after(leftMs, onLimit);
    }
    /** Until it has been silent for too long, or is late as a whole. */
    function patienceMs(nowMs: number): number {
      return Math.min(heardAt + limits.bodyIdleMs, limits.lateAtMs) - nowMs;
    }
    function onData(chunk: Buffer): void {
      heardAt = clock.monotonic();
      received += chunk.length;
      if (refused === undefined) {
        if (kept + chunk.length > limits.wireBytes) turnAway('too-large');
        else if (!budget.take(chunk.length)) turnAway('busy');
        else {
          kept += chunk.length;
          chunks.push(chunk);
          return;
        }
      }
      // One more body's worth is read for the client's sake, not more.
      if (received > 2 * limits.wireBytes) finish({ type: refused ?? 'too-large', connectionUsable: false });
    }
    function onEnd(): void {
      if (refused !== undefined) finish({ type: refused, connectionUsable: true });
      else finish({ type: 'whole', bytes: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, kept) });
    }
    function onClose(): void {
      finish({ type: 'aborted' });
    }
    request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}
