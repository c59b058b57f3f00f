import { clampStoredMs } from './time.ts';

/**
 * Times as PostHog writes them into JSON for ClickHouse: UTC, no `T`, no `Z` (sharp edge 20). What DateTime64 cannot hold becomes the
 * nearest that it can, as the engine itself would do.
 */

/** `2026-11-21 10:00:00.123`. @throws RangeError for NaN */
export function clickHouseMs(epochMs: number): string {
  const ms = Math.floor(clampStoredMs(epochMs));
  const fraction = ((ms % 1000) + 1000) % 1000;
  return `${wholeSeconds((ms - fraction) / 1000)}.${fraction < 10 ? '00' : fraction < 100 ? '0' : ''}${fraction}`;
}

/** `2026-11-21 10:00:00`: what is below a second is cut off. @throws RangeError for NaN */
export function clickHouseSeconds(epochMs: number): string {
  return wholeSeconds(Math.floor(clampStoredMs(epochMs) / 1000));
}

/** Rows made together are of few different seconds: the text of the last one serves most of them (0.02 us instead of 0.5). */
let lastSeconds = Number.NaN;
let lastText = '';

function wholeSeconds(seconds: number): string {
  if (seconds !== lastSeconds) {
    const iso = new Date(seconds * 1000).toISOString();
    lastText = `${iso.slice(0, 10)} ${iso.slice(11, 19)}`;
    lastSeconds = seconds;
  }
  return lastText;
}
