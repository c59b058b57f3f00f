import type { TraceContext } from './envelope.ts';

/**
 * First-in-first-out queue of envelopes. An envelope is three neighbouring slots, not an object: message, trace, enqueued-at.
 *
 *   slots  [ m3 t3 at3 | …free… | m1 t1 at1 | m2 t2 at2 ]     length is a power of two envelopes; head and tail wrap
 *                       ^ tail    ^ head
 *
 * The bound is not here: the cell compares `depth` with its own capacity before it pushes.
 */
const SLOTS = 3;
const FIRST_CAPACITY_COUNT = 4;
/** Mailboxes that grew beyond this are not kept for reuse: 64 envelopes are 1.5 kB. */
const KEEP_CAPACITY_COUNT = 64;

export class Mailbox {
  depth = 0;
  private slots: unknown[] = new Array<unknown>(FIRST_CAPACITY_COUNT * SLOTS).fill(undefined);
  private capacity = FIRST_CAPACITY_COUNT;
  private head = 0;
  /** Trace and enqueued-at of the message that {@link take} returned last. */
  takenTrace: TraceContext | undefined = undefined;
  takenAtMs = 0;

  push(message: unknown, trace: TraceContext | undefined, atMs: number): void {
    if (this.depth === this.capacity) this.grow();
    const at = ((this.head + this.depth) & (this.capacity - 1)) * SLOTS;
    this.slots[at] = message;
    this.slots[at + 1] = trace;
    this.slots[at + 2] = atMs;
    this.depth++;
  }

  /** Removes and returns the oldest message. Only with `depth > 0`. */
  take(): unknown {
    const at = this.head * SLOTS;
    const message = this.slots[at];
    this.takenTrace = this.slots[at + 1] as TraceContext | undefined;
    this.takenAtMs = this.slots[at + 2] as number;
    this.slots[at] = undefined;
    this.slots[at + 1] = undefined;
    this.head = (this.head + 1) & (this.capacity - 1);
    this.depth--;
    return message;
  }

  /** When the oldest message came, on the system's coarse clock; undefined when empty. */
  oldestAtMs(): number | undefined {
    return this.depth === 0 ? undefined : (this.slots[this.head * SLOTS + 2] as number);
  }

  includes(message: unknown): boolean {
    for (let i = 0; i < this.depth; i++) {
      if (this.slots[((this.head + i) & (this.capacity - 1)) * SLOTS] === message) return true;
    }
    return false;
  }

  get isSmall(): boolean {
    return this.capacity <= KEEP_CAPACITY_COUNT;
  }

  private grow(): void {
    const next = new Array<unknown>(this.capacity * 2 * SLOTS).fill(undefined);
    for (let i = 0; i < this.depth; i++) {
      const from = ((this.head + i) & (this.capacity - 1)) * SLOTS;
      for (let slot = 0; slot < SLOTS; slot++) next[i * SLOTS + slot] = this.slots[from + slot];
    }
    this.slots = next;
    this.capacity *= 2;
    this.head = 0;
  }
}

/** Empty mailboxes for those who become busy. */
export interface MailboxPool {
  take(): Mailbox;
  /** Gives an EMPTY mailbox back. */
  give(mailbox: Mailbox): void;
}

/** Mailboxes in waiting: an idle cell holds none, so a million idle entities cost none. Keeps at most `limitCount`. */
export function createMailboxPool(limitCount: number): MailboxPool {
  const free: Mailbox[] = [];
  return {
    take: () => free.pop() ?? new Mailbox(),
    give(mailbox) {
      if (mailbox.isSmall && free.length < limitCount) free.push(mailbox);
    },
  };
}
