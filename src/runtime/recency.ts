/**
 * Order of last use, as a doubly linked list through the entities themselves: moving one to the end allocates nothing. Time is coarse, an
 * epoch per sweep: an entity is moved at most once per epoch, so a busy one costs one comparison per message.
 */
export interface RecencyLinks {
  older: RecencyLinks | undefined;
  newer: RecencyLinks | undefined;
  usedEpoch: number;
}
export interface Recency<T extends RecencyLinks> {
  /** Advanced by the sweep. */
  epoch: number;
  add(item: T): void;
  /** Marks it as used now. */
  touch(item: T): void;
  remove(item: T): void;
  oldest(): T | undefined;
}

/** An empty list. */
export function createRecency<T extends RecencyLinks>(): Recency<T> {
  let oldest: RecencyLinks | undefined;
  let newest: RecencyLinks | undefined;
  const recency: Recency<T> = {
    epoch: 1,
    add(item) {
      item.usedEpoch = recency.epoch;
      item.older = newest;
      item.newer = undefined;
      if (newest === undefined) oldest = item;
      else newest.newer = item;
      newest = item;
    },
    touch(item) {
      if (item !== newest) {
        recency.remove(item);
        recency.add(item);
      }
      item.usedEpoch = recency.epoch;
    },
    remove(item) {
      if (item.older === undefined) {
        if (oldest !== item) return; // not in the list
        oldest = item.newer;
      } else item.older.newer = item.newer;
      if (item.newer === undefined) newest = item.older;
      else item.newer.older = item.older;
      item.older = undefined;
      item.newer = undefined;
    },
    oldest: () => oldest as T | undefined,
  };
  return recency;
}
