/**
 * What is under way, oldest first, each leaving when it is done.
 *
 * A Set would do, but for the garbage collector: a Set (and a Map) that many pass through throws its table away every few hundred of them,
 * the old table points to its successor, and once one of them has grown old in the heap, all that follow stay alive until the next full
 * collection, each with what was in it. Behind capture that promoted 12 MB at every scavenge and cost a sixth of its CPU. Here those that
 * left point to nobody (R1).
 *
 * R1 a place that is left refers to no other.
 */
export interface Roster<T> {
  add(value: T): Place<T>;
  /** False when it had left already. */
  leave(place: Place<T>): boolean;
  oldest(): T | undefined;
  /** Everyone leaves; they are returned, oldest first. */
  clear(): T[];
  /** Those that are there, oldest first. */
  list(): T[];
  readonly size: number;
}

/** Where somebody stands; given out by `add`, and changed by the roster alone. */
export interface Place<T> {
  readonly value: T;
  /** Whether it has not left. */
  isIn: boolean;
  before: Place<T> | undefined;
  after: Place<T> | undefined;
}

export function createRoster<T>(): Roster<T> {
  let first: Place<T> | undefined;
  let last: Place<T> | undefined;
  let size = 0;

  function leave(place: Place<T>): boolean {
    if (!place.isIn) return false;
    const { before, after } = place;
    if (before === undefined) first = after;
    else before.after = after;
    if (after === undefined) last = before;
    else after.before = before;
    place.isIn = false;
    place.before = place.after = undefined;
    size--;
    return true;
  }

  function list(): T[] {
    const values: T[] = [];
    for (let place = first; place !== undefined; place = place.after) values.push(place.value);
    return values;
  }

  return {
    add(value) {
      const place: Place<T> = { value, isIn: true, before: last, after: undefined };
      if (last === undefined) first = place;
      else last.after = place;
      last = place;
      size++;
      return place;
    },
    leave,
    oldest: () => first?.value,
    clear() {
      const values = list();
      while (first !== undefined) leave(first);
      return values;
    },
    list,
    get size() {
      return size;
    },
  };
}
