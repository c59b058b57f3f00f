/**
 * The StateStore of one process: a Map in memory, and a file that brings it back.
 *
 *     <dir>/state.log    one line per change: 8 hex digits of CRC-32, a space, JSON
 *
 * Invariants
 * S1 What a method resolved to is in the file (written, not synced): kill -9 of the process loses none of it.
 * S2 A torn or damaged line ends the reading: what stands before it is true.
 * S3 The file is written anew when what was added outweighs what it began with, so it is bounded by what lives.
 * S4 At most `capacityCount` keys; beyond it the one that ends soonest goes (these are hints with a ttl, never events).
 */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { askRate } from '../domain/rate.ts';
import { StateStoreError, type RankEntry, type StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';
import { returnAllowance, takeAllowance } from './allowances.ts';

export interface EmbeddedStateStoreOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** @defaultValue 1,000,000 keys */
  readonly capacityCount?: number;
}

interface Entry {
  value: string | undefined;
  ranks: Map<string, number> | undefined;
  fields: Fields | undefined;
  /** Wall time: a ttl goes on while the process is down. */
  untilMs: number;
}

type Fields = Readonly<Record<string, string>>;
type Ranks = readonly (readonly [string, number])[];
/**
 * [key, end of life, text value, or the fields of a hash], or [key, end of life, changed ranks as pairs, least score kept, whether the set went on]: then
 * the pairs are added to those that lines before gave, else they are all there is. An end of 0 deletes.
 */
type Line = readonly [string, number, string | Fields] | readonly [string, number, Ranks, number | null, boolean];

const NOTHING = { value: undefined, ranks: undefined, fields: undefined } as const;
const COMPACT_AT_LEAST_BYTES = 1024 * 1024;

export function createEmbeddedStateStore(options: EmbeddedStateStoreOptions): Promise<StateStore> {
  return Promise.resolve().then(() => open(options));
}

function open({ dir, clock, capacityCount = 1_000_000 }: EmbeddedStateStoreOptions): StateStore {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, 'state.log');
  const entries = new Map<string, Entry>();
  for (const line of readLines(path)) apply(line);
  /** Bytes of the file when it was last written anew, and now. */
  let freshBytes = 0;
  let bytes = 0;
  let file = compact();
  let closed = false;

  /** Whether it has ended is asked afterwards: a later line may have given it more time. */
  function apply([key, untilMs, content, keepFrom, wentOn]: Line): void {
    const known = wentOn === true ? entries.get(key)?.ranks : undefined;
    if (untilMs === 0) entries.delete(key);
    else if (typeof content === 'string') entries.set(key, { ...NOTHING, value: content, untilMs });
    else if (isRanks(content)) entries.set(key, { ...NOTHING, ranks: ranked(known, content, keepFrom ?? -Infinity), untilMs });
    else entries.set(key, { ...NOTHING, fields: content, untilMs });
  }

  /** S3: a new file under another name, then renamed over the old one. */
  function compact(): number {
    const part = `${path}.part`;
    const next = openSync(part, 'w');
    let text = '';
    for (const [key, entry] of entries) {
      if (entry.untilMs <= clock.now()) {
        entries.delete(key);
        continue;
      }
      text += encode(lineOf(key, entry));
    }
    try {
      freshBytes = bytes = append(next, text);
      renameSync(part, path);
    } catch (error) {
      closeSync(next);
      throw error;
    }
    return next;
  }

  function live(key: string): Entry | undefined {
    const entry = entries.get(key);
    if (entry === undefined || entry.untilMs > clock.now()) return entry;
    entries.delete(key);
    return undefined;
  }

  function entryFor(key: string, ttlMs: number): Entry {
    const untilMs = clock.now() + ttlMs;
    const known = live(key);
    if (known !== undefined) {
      known.untilMs = untilMs;
      return known;
    }
    if (entries.size >= capacityCount) makeRoom();
    const made: Entry = { ...NOTHING, untilMs };
    entries.set(key, made);
    return made;
  }

  /** S4 */
  function makeRoom(): void {
    let soonest: string | undefined;
    let untilMs = Infinity;
    for (const [key, entry] of entries) if (entry.untilMs < untilMs) [soonest, untilMs] = [key, entry.untilMs];
    if (soonest !== undefined) entries.delete(soonest);
  }

  /** S1: one write for all changes of a call. */
  function save(changed: readonly Line[]): void {
    if (closed) throw new StateStoreError('the state store is closed');
    if (changed.length === 0) return;
    try {
      bytes += append(file, changed.map(encode).join(''));
      if (bytes > freshBytes + Math.max(COMPACT_AT_LEAST_BYTES, freshBytes)) renew();
    } catch (error) {
      // half a line may stand at the end, and would hide all that follows (S2): the next change writes the file anew
      bytes = Infinity;
      const reason = error instanceof Error ? error.message : 'unknown';
      throw new StateStoreError(`the state store cannot write ${path}: ${reason}`, { cause: error });
    }
  }

  function renew(): void {
    const old = file;
    file = compact();
    closeSync(old);
  }

  const current = (key: string): Line => {
    const entry = entries.get(key);
    return entry === undefined ? [key, 0, ''] : lineOf(key, entry);
  };

  /** Everything happens in one step, so no two calls interleave; the promise is only the port's shape. */
  const done = <T>(run: () => T): Promise<T> => Promise.resolve().then(run);

  return {
    ping: () => done(() => save([])),
    get: (key) => done(() => live(key)?.value),
    set: (key, value, ttlMs) =>
      done(() => {
        Object.assign(entryFor(key, ttlMs), { ...NOTHING, value });
        save([current(key)]);
      }),
    setIfAbsent: (wanted) =>
      done(() => {
        const firsts = wanted.map(({ key, ttlMs }) => {
          if (live(key) !== undefined) return false;
          entryFor(key, ttlMs).value = '1';
          return true;
        });
        save(wanted.flatMap(({ key }, index) => (firsts[index] === true ? [current(key)] : [])));
        return firsts;
      }),
    delete: (keys) =>
      done(() => {
        for (const key of keys) entries.delete(key);
        save(keys.map(current));
      }),
    rankAdd: (added) =>
      done(() => {
        const lines: Line[] = [];
        for (const [key, { pairs, ttlMs, keepFrom }] of bySet(added)) {
          const wentOn = live(key)?.ranks !== undefined;
          const entry = entryFor(key, ttlMs);
          entry.value = undefined;
          entry.ranks = ranked(entry.ranks, pairs, keepFrom);
          lines.push([key, entry.untilMs, pairs, keepFrom === -Infinity ? null : keepFrom, wentOn]);
        }
        save(lines);
      }),
    rankFrom: (key, from) =>
      done(() =>
        [...(live(key)?.ranks ?? [])]
          .filter(([, score]) => score >= from)
          .sort(([a, scoreA], [b, scoreB]) => scoreA - scoreB || (a < b ? -1 : 1))
          .map(([member, score]) => ({ member, score })),
      ),
    increment: (key, by, ttlMs) =>
      done(() => {
        const known = live(key);
        const count = Number(known?.value ?? 0) + by;
        if (known === undefined) entryFor(key, ttlMs).value = String(count);
        else known.value = String(count);
        save([current(key)]);
        return count;
      }),
    fields: (key) => done(() => new Map(Object.entries(live(key)?.fields ?? {}))),
    setFields: (key, fields, ttlMs) =>
      done(() => {
        Object.assign(entryFor(key, ttlMs), { ...NOTHING, fields });
        save([current(key)]);
      }),
    takeAllowances: (wanted) =>
      done(() => {
        const taken = wanted.map(({ key, count }) => takeAllowance(live(key), count));
        save(wanted.flatMap(({ key }, index) => (taken[index]?.remaining === undefined ? [] : [current(key)])));
        return taken;
      }),
    returnAllowances: (unused) =>
      done(() => {
        const changed = unused.filter((one) => returnAllowance(live(one.key), one));
        save(changed.map(({ key }) => current(key)));
      }),
    takeRates: (wanted, wholly) =>
      done(() => {
        const nowUs = clock.now() * 1_000;
        const answers = wanted.map((one) => askRate(Number(live(one.key)?.value), nowUs, { ...one, wholly }));
        const isRefused = wholly && answers.some(({ granted }) => granted === 0);
        const taken: Line[] = [];
        for (const [index, { granted, paidUntilUs }] of answers.entries()) {
          const key = wanted[index]?.key;
          if (key === undefined || granted === 0 || isRefused) continue;
          Object.assign(entryFor(key, Math.ceil((paidUntilUs - nowUs) / 1_000)), { ...NOTHING, value: String(paidUntilUs) });
          taken.push(current(key));
        }
        save(taken);
        return answers.map(({ granted, waitUs }) => ({ granted: isRefused ? 0 : granted, waitMs: Math.ceil(waitUs / 1_000) }));
      }),
    close: () =>
      done(() => {
        if (closed) return;
        closed = true;
        closeSync(file);
      }),
  };
}

const lineOf = (key: string, { value, ranks, fields, untilMs }: Entry): Line =>
  ranks === undefined ? [key, untilMs, fields ?? value ?? ''] : [key, untilMs, [...ranks], null, false];

const isRanks = (content: Ranks | Fields): content is Ranks => Array.isArray(content);

/** Keeps the greater score of each member, and leaves out those below `keepFrom`. */
function ranked(known: Map<string, number> | undefined, added: Ranks, keepFrom: number): Map<string, number> {
  const ranks = known ?? new Map<string, number>();
  for (const [member, score] of added) ranks.set(member, Math.max(score, ranks.get(member) ?? -Infinity));
  if (keepFrom > -Infinity) for (const [member, score] of ranks) if (score < keepFrom) ranks.delete(member);
  return ranks;
}

function bySet(
  entries: readonly RankEntry[],
): ReadonlyMap<string, { readonly pairs: [string, number][]; readonly ttlMs: number; readonly keepFrom: number }> {
  const sets = new Map<string, { pairs: [string, number][]; ttlMs: number; keepFrom: number }>();
  for (const { key, member, score, ttlMs, keepFrom = -Infinity } of entries) {
    const set = sets.get(key);
    if (set === undefined) sets.set(key, { pairs: [[member, score]], ttlMs, keepFrom });
    else set.pairs.push([member, score]);
  }
  return sets;
}

/** Writes all of it: one `write` may take less. Answers the bytes. */
function append(file: number, text: string): number {
  const all = Buffer.from(text);
  for (let written = 0; written < all.length;) written += writeSync(file, all, written);
  return all.length;
}

function encode(line: Line): string {
  const text = JSON.stringify(line);
  return `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;
}

/** S2 */
function* readLines(path: string): Generator<Line> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  for (const line of text.split('\n')) {
    const json = line.slice(9);
    if (line.slice(0, 8) !== crc32(json).toString(16).padStart(8, '0') || json === '') return;
    yield JSON.parse(json) as Line;
  }
}
