/** Virtual time moves only when nothing can happen without it, so a seed gives the same run every time. */
import type { ManualClock } from '../../kit/clock.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface VirtualTime {
  /** Lets time pass until `holds`. False when the limit was reached first. */
  readonly runUntil: (holds: () => boolean, limitMs?: number) => Promise<boolean>;
}

/** @param afterStep called whenever time has moved */
export function createVirtualTime(clock: ManualClock, processes: readonly SimulatedProcess[], afterStep?: () => void): VirtualTime {
  return {
    async runUntil(holds, limitMs = Infinity) {
      const deadline = clock.monotonic() + limitMs;
      while (!holds()) {
        if (clock.monotonic() > deadline) return false;
        await settle(processes);
        clock.step();
        afterStep?.();
      }
      return true;
    },
  };
}

/** Lets everything happen that needs no time. */
async function settle(processes: readonly SimulatedProcess[]): Promise<void> {
  for (let restingTurns = 0; restingTurns < 2;) {
    await new Promise((resolve) => setImmediate(resolve));
    restingTurns = processes.every((one) => one.isQuiescent()) ? restingTurns + 1 : 0;
  }
}
