import type { Clock, Timer } from '../runtime/clock.ts';

export interface Closing {
  readonly close: () => void;
}

/** Runs `read` now, and again `intervalMs` after it has ended: one at a time, and none begins after `close`. `read` never rejects. */
export function repeated(
  { clock, intervalMs }: { readonly clock: Clock; readonly intervalMs: number },
  read: () => Promise<void>,
): Closing {
  let resting: Timer | undefined;
  let isClosed = false;
  async function run(): Promise<void> {
    await read();
    if (!isClosed) resting = clock.after(intervalMs, () => void run());
  }
  void run();
  return {
    close() {
      isClosed = true;
      resting?.cancel();
    },
  };
}
