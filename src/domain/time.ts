import { toText } from './strings.ts';

/**
 * Dates from text to epoch milliseconds. NaN means "no date". Nothing here reads a clock.
 * Date-times without a zone are UTC: in the common shape by our own arithmetic, in the others because the process runs
 * with TZ=UTC (TS-3).
 */

const DAY_MS = 86_400_000;
/** The largest instant a JS Date can name, either side of 1970. */
export const MAX_DATE_MS = 8_640_000_000_000_000;

/**
 * What ClickHouse's DateTime64(6, 'UTC') is specified to hold. RowBinary carries the bare integer, so nobody else would
 * notice a value outside; JSONEachRow, which PostHog uses, saturates to the same ends.
 * Before 1970 and after 2149 `toDate(timestamp)`, part of the sorting key, wraps around (tried in chdb 26.7: 1900 sorts as
 * 2079). Queries on `timestamp` find such rows all the same; queries on `toDate(timestamp)` do not.
 */
export const MIN_STORED_MS = -2_208_988_800_000; // 1900-01-01T00:00:00.000Z
export const MAX_STORED_MS = 10_413_791_999_999; // 2299-12-31T23:59:59.999Z

/** The nearest instant that ClickHouse holds. */
export function clampStoredMs(ms: number): number {
  return ms < MIN_STORED_MS ? MIN_STORED_MS : ms > MAX_STORED_MS ? MAX_STORED_MS : ms;
}

/**
 * TS-3: the JS Date constructor on the value, then strict ISO. Numbers are epoch milliseconds; a list is its text, as it is to Date.
 * Objects are no dates (PostHog hands them to `new Date`, which calls their toString).
 */
export function parseDateMs(value: unknown): number {
  if (typeof value === 'string') {
    const fast = parseCommonIsoMs(value);
    if (!Number.isNaN(fast)) return fast;
    const ms = new Date(value).getTime();
    return Number.isNaN(ms) ? parseAnyIsoMs(value) : ms;
  }
  if (Array.isArray(value)) return parseDateMs(toText(value));
  return typeof value === 'number' || typeof value === 'boolean' ? new Date(Number(value)).getTime() : Number.NaN;
}

/** ISO 8601 only: what `now` and `sent_at` may be (TS-1, TS-2). */
export function parseIsoMs(value: string): number {
  const fast = parseCommonIsoMs(value);
  return Number.isNaN(fast) ? parseAnyIsoMs(value) : fast;
}

/**
 * `YYYY-MM-DDTHH:MM:SS`, any fraction (cut to ms), then `Z`, `±HH:MM` or nothing. This shape is nearly all dates there
 * are, and three times as fast as Date.parse; anything else, or out of range, is NaN and goes the long way.
 */
function parseCommonIsoMs(text: string): number {
  const length = text.length;
  if (length < 19 || text.charCodeAt(10) !== 84 /* T */) return Number.NaN;
  if (text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45 || text.charCodeAt(13) !== 58 || text.charCodeAt(16) !== 58) return Number.NaN;
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  const second = twoDigits(text, 17);
  // written so that NaN fails too
  if (!(month >= 1 && month <= 12 && day >= 1 && hour <= 23 && minute <= 59 && second <= 59)) return Number.NaN;
  if (!(year >= 0) || day > daysInMonth(year, month)) return Number.NaN;

  let at = 19;
  let fractionMs = 0;
  if (at < length && text.charCodeAt(at) === 46 /* . */) {
    let scale = 100;
    for (at++; at < length; at++) {
      const digit = text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 9) break;
      fractionMs += digit * scale;
      scale = scale === 100 ? 10 : scale === 10 ? 1 : 0;
    }
    if (at === 20) return Number.NaN; // a point without digits
  }
  let zoneMinutes = 0;
  if (at < length) {
    const sign = text.charCodeAt(at);
    if (sign === 90 /* Z */) {
      if (at + 1 !== length) return Number.NaN;
    } else if ((sign === 43 || sign === 45) && at + 6 === length && text.charCodeAt(at + 3) === 58) {
      const zoneHour = twoDigits(text, at + 1);
      const zoneMinute = twoDigits(text, at + 4);
      if (!(zoneHour <= 23 && zoneMinute <= 59)) return Number.NaN;
      zoneMinutes = (zoneHour * 60 + zoneMinute) * (sign === 43 ? 1 : -1);
    } else {
      return Number.NaN;
    }
  }
  return daysFromCivil(year, month, day) * DAY_MS + ((hour * 60 + minute - zoneMinutes) * 60 + second) * 1000 + fractionMs;
}

function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

const isLeap = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);

function daysInMonth(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days from 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day comes last. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** Calendar, week or ordinal date, then perhaps a time, of an hour at least, and a zone. Hyphens and colons may be left out. */
const ISO = new RegExp(
  '^(?:([+-]\\d{6}|\\d{4})(?:-?(\\d\\d)(?:-?(\\d\\d))?)?|(\\d{4})-?W(\\d\\d)(?:-?([1-7]))?|(\\d{4})-?(\\d{3}))' +
    '(?:T(\\d\\d)(?::?(\\d\\d)(?::?(\\d\\d)(?:[.,](\\d{1,30}))?)?)?(?:Z|([+-])(\\d\\d)(?::?(\\d\\d))?)?)?$',
  'i',
);

/** ISO 8601 in the spellings that are not common: week dates (`2021-W43-5`), ordinal ones (`2021-302`), basic ones (`20211029T1030Z`). */
function parseAnyIsoMs(text: string): number {
  const match = ISO.exec(text);
  if (match === null) return Number.NaN;
  const number = (group: number, otherwise = 0): number => (match[group] === undefined ? otherwise : Number(match[group]));
  const day =
    match[4] !== undefined
      ? weekDay(number(4), number(5), number(6, 1))
      : match[7] !== undefined
        ? ordinalDay(number(7), number(8))
        : calendarDay(number(1), number(2, 1), number(3, 1));
  const [hour, minute, second] = [number(9), number(10), number(11)];
  const fractionMs = Number((match[12] ?? '').slice(0, 3).padEnd(3, '0'));
  const isMidnight = hour === 24 && minute === 0 && second === 0 && fractionMs === 0;
  const [zoneHour, zoneMinute] = [number(14), number(15)];
  if ((hour > 23 && !isMidnight) || minute > 59 || second > 59 || zoneHour > 23 || zoneMinute > 59) return Number.NaN;
  const zoneMinutes = (zoneHour * 60 + zoneMinute) * (match[13] === '-' ? -1 : 1);
  const ms = day * DAY_MS + ((hour * 60 + minute - zoneMinutes) * 60 + second) * 1000 + fractionMs;
  return Math.abs(ms) <= MAX_DATE_MS ? ms : Number.NaN;
}

// Days from 1970-01-01; NaN for a day that the year has not.
function calendarDay(year: number, month: number, day: number): number {
  return month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month) ? daysFromCivil(year, month, day) : Number.NaN;
}
function weekDay(year: number, week: number, day: number): number {
  return week >= 1 && week <= weeksInYear(year) ? firstMonday(year) + (week - 1) * 7 + day - 1 : Number.NaN;
}
function ordinalDay(year: number, day: number): number {
  return day >= 1 && day <= (isLeap(year) ? 366 : 365) ? daysFromCivil(year, 1, 1) + day - 1 : Number.NaN;
}

/** Day number of the Monday of ISO week 1: the week that holds the fourth of January. */
function firstMonday(year: number): number {
  const fourth = daysFromCivil(year, 1, 4);
  return fourth - ((((fourth + 3) % 7) + 7) % 7);
}

function weeksInYear(year: number): number {
  return (firstMonday(year + 1) - firstMonday(year)) / 7;
}
