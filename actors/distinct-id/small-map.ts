/**
 * A Map for what nearly always has one entry at most. Nearly every group concerns one person and waits for one answer;
 * an empty Map weighs 200 bytes and is made and thrown away with each group.
 */
export class SmallMap<Key, Value> {
  #key: Key | undefined;
  #value: Value | undefined;
  /** Undefined while there is at most one entry, which then is in the fields. */
  #many: Map<Key, Value> | undefined;
  #hasOne = false;

  get size(): number {
    return this.#many?.size ?? (this.#hasOne ? 1 : 0);
  }

  has(key: Key): boolean {
    return this.#many?.has(key) ?? (this.#hasOne && this.#key === key);
  }

  get(key: Key): Value | undefined {
    if (this.#many !== undefined) return this.#many.get(key);
    return this.#hasOne && this.#key === key ? this.#value : undefined;
  }

  set(key: Key, value: Value): void {
    if (this.#many !== undefined) {
      this.#many.set(key, value);
    } else if (!this.#hasOne || this.#key === key) {
      this.#key = key;
      this.#value = value;
      this.#hasOne = true;
    } else {
      this.#many = new Map<Key, Value>([
        [this.#key as Key, this.#value as Value],
        [key, value],
      ]);
    }
  }

  delete(key: Key): boolean {
    if (this.#many !== undefined) return this.#many.delete(key);
    if (!this.#hasOne || this.#key !== key) return false;
    this.clear();
    return true;
  }

  clear(): void {
    this.#many = undefined;
    this.#key = undefined;
    this.#value = undefined;
    this.#hasOne = false;
  }

  /** Of the moment: what is set or deleted while walking is not seen. */
  values(): readonly Value[] {
    if (this.#many !== undefined) return [...this.#many.values()];
    return this.#hasOne ? [this.#value as Value] : NONE;
  }
}

const NONE: readonly never[] = [];
