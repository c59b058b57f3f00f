/**
 * The StateStore of one process: a Map in memory, and a file that brings it back.
 *
 *     <dir>/state.log    one line per change: 8 hex digits of CRC-32, a space, JSON
 *
 * Invariants
 * S1 What a method resolved to is in the file (written, not synced): kill -9 of the process loses none of it.
 * S2 A torn or damaged line ends the reading: what stands before it is true.
 * S3 The file is written anew when it has grown to twice what lives, so it is bounded by the living keys.
 * S4 At most `capacityCount` keys; beyond it the one that ends soonest goes (these are hints with a ttl, never events).
 */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { StateStoreError, type StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';

export interface EmbeddedStateStoreOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** @defaultValue 1,000,000 keys */
  readonly capacityCount?: number;
}

interface Entry {
  value: string | undefined;
  ranks: Map<string, number> | undefined;
  /** Wall time: a ttl goes on while the process is down. */
  untilMs: number;
}

/** [key, end of life, text value] or [key, end of life, ranks as pairs]; an end of 0 deletes. */
type Line = readonly [string, number, string | readonly (readonly [string, number])[]];

const COMPACT_AT_LEAST_LINES = 10_000;

export function createEmbeddedStateStore(options: EmbeddedStateStoreOptions): Promise<StateStore> {
  return Promise.resolve().then(() => open(options));
}

function open({ dir, clock, capacityCount = 1_000_000 }: EmbeddedStateStoreOptions): StateStore {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, 'state.log');
  const entries = new Map<string, Entry>();
  for (const line of readLines(path)) apply(line);
  let lines = 0;
  let file = compact();
  let closed = false;

  function apply([key, untilMs, content]: Line): void {
    if (untilMs <= clock.now()) {
      entries.delete(key);
      return;
    }
    const isText = typeof content === 'string';
    entries.set(key, { value: isText ? content : undefined, ranks: isText ? undefined : new Map(content), untilMs });
  }

  /** S3: a new file under another name, then renamed over the old one. */
  function compact(): number {
    const part = `${path}.part`;
    const next = openSync(part, 'w');
    let text = '';
    lines = 0;
    for (const [key, entry] of entries) {
      if (entry.untilMs <= clock.now()) {
        entries.delete(key);
        continue;
      }
      text += encode(lineOf(key, entry));
      lines++;
    }
    if (text !== '') writeSync(next, text);
    renameSync(part, path);
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
    const made: Entry = { value: undefined, ranks: undefined, untilMs };
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
  function save(keys: readonly string[]): void {
    if (closed) throw new StateStoreError('the state store is closed');
    const changed = keys.map((key): Line => {
      const entry = entries.get(key);
      return entry === undefined ? [key, 0, ''] : lineOf(key, entry);
    });
    if (changed.length === 0) return;
    try {
      writeSync(file, changed.map(encode).join(''));
      lines += changed.length;
      if (lines > Math.max(COMPACT_AT_LEAST_LINES, 2 * entries.size)) {
        const old = file;
        file = compact();
        closeSync(old);
      }
    } catch (error) {
      throw new StateStoreError(`the state store cannot write ${path}: ${error instanceof Error ? error.message : 'unknown'}`, {
        cause: error,
      });
    }
  }

  /** Everything happens in one step, so no two calls interleave; the promise is only the port's shape. */
  const done = <T>(run: () => T): Promise<T> => Promise.resolve().then(run);

  return {
    ping: () => done(() => save([])),
    get: (key) => done(() => live(key)?.value),
    set: (key, value, ttlMs) =>
      done(() => {
        const entry = entryFor(key, ttlMs);
        entry.value = value;
        entry.ranks = undefined;
        save([key]);
      }),
    setIfAbsent: (wanted) =>
      done(() => {
        const firsts = wanted.map(({ key, ttlMs }) => {
          if (live(key) !== undefined) return false;
          entryFor(key, ttlMs).value = '1';
          return true;
        });
        save(wanted.flatMap(({ key }, index) => (firsts[index] === true ? [key] : [])));
        return firsts;
      }),
    delete: (keys) =>
      done(() => {
        for (const key of keys) entries.delete(key);
        save(keys);
      }),
    rankAdd: (added) =>
      done(() => {
        for (const { key, member, score, ttlMs } of added) {
          const entry = entryFor(key, ttlMs);
          const ranks = (entry.ranks ??= new Map());
          ranks.set(member, Math.max(score, ranks.get(member) ?? -Infinity));
        }
        save([...new Set(added.map(({ key }) => key))]);
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
        save([key]);
        return count;
      }),
    close: () =>
      done(() => {
        if (closed) return;
        closed = true;
        closeSync(file);
      }),
  };
}

const lineOf = (key: string, entry: Entry): Line => [
  key,
  entry.untilMs,
  entry.ranks === undefined ? (entry.value ?? '') : [...entry.ranks],
];

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
