import type { Allowance, AllowanceUnused } from '../redis/port.ts';

/** What the store keeps of a counter. */
interface Counter {
  value: string | undefined;
  readonly untilMs: number;
}

/** StateStore.takeAllowances, of one counter; undefined: there is none. */
export function takeAllowance(counter: Counter | undefined, count: number): Allowance {
  const none = { granted: count, remaining: undefined, endsMs: undefined };
  if (counter === undefined) return { ...none, isUnreadable: false };
  if (counter.value === undefined || !/^-?\d+$/.test(counter.value)) return { ...none, isUnreadable: true };
  const left = Math.max(0, Number(counter.value));
  const granted = Math.min(count, left);
  if (granted > 0) counter.value = String(left - granted);
  return { granted, remaining: left - granted, endsMs: counter.untilMs, isUnreadable: false };
}

/** StateStore.returnAllowances, of one counter. Whether it was given anything. */
export function returnAllowance(counter: Counter | undefined, { count, endsMs }: AllowanceUnused): boolean {
  if (counter?.value === undefined || counter.untilMs !== endsMs) return false;
  counter.value = String(Number(counter.value) + count);
  return true;
}
