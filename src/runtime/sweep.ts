import type { Timer } from './clock.ts';
import type { Core } from './core.ts';
import type { Recency, RecencyLinks } from './recency.ts';
import type { Ready, SharedTurn } from './turn.ts';

/**
 * Passivation by time and by number. Every `sweepEveryMs` an epoch ends; the sweep then walks from the least recently used while entities
 * are idle long enough or over the limit. It works in slices on the shared turn, so a million idle entities end without a pause.
 */
export interface SweepOptions<T extends RecencyLinks> {
  readonly core: Core;
  readonly turn: SharedTurn;
  readonly recency: Recency<T>;
  readonly idleMs: number;
  readonly sweepEveryMs: number;
  readonly isOverLimit: () => boolean;
  /** False while as many passivations are in flight as may be: the walk pauses until `resume`. */
  readonly mayStart: () => boolean;
  readonly tryPassivate: (item: T) => boolean;
}

export interface Sweeper {
  /** A passivation has ended: a walk that paused for want of room goes on. */
  resume(): void;
  close(): void;
}

export function createSweeper<T extends RecencyLinks>(options: SweepOptions<T>): Sweeper {
  const { core, turn, recency } = options;
  const idleEpochs = Math.max(1, Math.ceil(options.idleMs / options.sweepEveryMs));
  let isSweeping = false;
  let isPaused = false;
  let timer: Timer | undefined;
  let isClosed = false;

  const slice: Ready = {
    run(limitCount) {
      for (let looked = 0; looked < limitCount; looked++) {
        const oldest = recency.oldest();
        const isDue = oldest !== undefined && oldest.usedEpoch < recency.epoch && (isIdle(oldest) || options.isOverLimit());
        if (isClosed || !isDue) {
          isSweeping = false;
          return looked;
        }
        if (!options.mayStart()) {
          isPaused = true;
          return looked;
        }
        // one that must stay counts as used now, or the walk would not get past it
        if (!options.tryPassivate(oldest)) recency.touch(oldest);
      }
      turn.wake(slice);
      return limitCount;
    },
  };
  const isIdle = (item: T): boolean => recency.epoch - item.usedEpoch > idleEpochs;

  function arm(): void {
    timer = core.deadlines.add(options.sweepEveryMs, () => {
      recency.epoch++;
      arm();
      if (isSweeping) return;
      isSweeping = true;
      turn.wake(slice);
    });
  }
  arm();
  return {
    resume() {
      if (!isPaused) return;
      isPaused = false;
      turn.wake(slice);
    },
    close() {
      isClosed = true;
      timer?.cancel();
    },
  };
}
