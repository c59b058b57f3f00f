import type { Core } from './core.ts';
import { THROUGHPUT_COUNT } from './cell.ts';
import { Mailbox } from './mailbox.ts';
import type { Tree } from './node.ts';

/**
 * One nact turn for many cells. A turn of nact costs about 1.5-4 us (a setImmediate, a context with copies of two maps, two promises);
 * an entity that handles one message has no use for one of its own. So the entities of a system queue up here, and one nact actor named
 * `turn` gives each its turn in order of becoming ready. Every entity is a nact actor all the same: its node in the tree.
 *
 * I1 cells run in the order they became ready; none handles more than THROUGHPUT_COUNT messages before the next.
 * I2 after TURN_LIMIT_COUNT messages the loop of the process gets its due: the rest waits for the next turn.
 */
export interface Ready {
  /** Handles at most `limitCount` messages; answers how many. Must not throw. */
  run(limitCount: number): number;
}
export interface SharedTurn {
  /** Nothing is queued. */
  readonly isIdle: boolean;
  wake(ready: Ready): void;
}

/** Messages per turn. At 10 us a message this holds the event loop for 2.5 ms and makes nact's part 1 % of the work. */
const TURN_LIMIT_COUNT = 256;

export function createSharedTurn(core: Core, tree: Tree): SharedTurn {
  const queue = new Mailbox();
  let isPending = false;

  const node = tree.spawnActor(undefined, 'turn', {
    turn() {
      isPending = false;
      if (core.killed) return;
      core.nowMs = core.clock.monotonic();
      let left = TURN_LIMIT_COUNT;
      while (left > 0 && queue.depth > 0) {
        const ready = queue.take() as Ready;
        left -= Math.max(1, ready.run(Math.min(left, THROUGHPUT_COUNT)));
      }
      if (queue.depth > 0) request();
    },
  });

  function request(): void {
    if (isPending) return;
    isPending = true;
    tree.wake(node);
  }

  return {
    get isIdle() {
      return queue.depth === 0;
    },
    wake(ready) {
      queue.push(ready, undefined, 0);
      request();
    },
  };
}
