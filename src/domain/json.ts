import type { Json } from './event.ts';

/**
 * Reading and writing objects whose keys strangers chose. Plain assignment would turn the key `__proto__` into a
 * prototype, and plain reading finds `constructor` on every object. Both are answered without a cost on other keys.
 */

/** True for a JSON object: not null, not an array. */
export function isJsonObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object when it is one; undefined for everything else. */
export function asJsonObject(value: unknown): Json | undefined {
  return isJsonObject(value) ? value : undefined;
}

/**
 * The object's own value under `key`, undefined when it has none. JSON holds no functions, so only a function or
 * Object.prototype itself can be an inherited value; all other reads need no second look.
 */
export function own(object: Readonly<Json>, key: string): unknown {
  const value = object[key];
  if (typeof value !== 'function' && value !== Object.prototype) return value;
  return Object.hasOwn(object, key) ? value : undefined;
}

/** Writes an own property under any key, `__proto__` included. */
export function put(object: Json, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
  else object[key] = value;
}

/** Writes all own properties of `from` into `into`. */
export function putAll(into: Json, from: Readonly<Json>): void {
  for (const key in from) put(into, key, from[key]);
}

/**
 * Levels of arrays and objects an event may nest. JSON.parse has no limit, but JSON.stringify, jsonb and ClickHouse's
 * JSON functions recurse (seen to fail from about 1,000 levels on), each at another depth.
 */
export const MAX_DEPTH = 500;

/** True when the value nests deeper than {@link MAX_DEPTH}. Walks with a stack of its own. */
export function isTooDeep(root: unknown): boolean {
  let level: object[] = typeof root === 'object' && root !== null ? [root] : [];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true;
    const next: object[] = [];
    for (const parent of level) {
      if (Array.isArray(parent)) {
        for (const child of parent as unknown[]) if (typeof child === 'object' && child !== null) next.push(child);
      } else {
        const fields = parent as Json;
        for (const key in fields) {
          const child = fields[key];
          if (typeof child === 'object' && child !== null) next.push(child);
        }
      }
    }
    level = next;
  }
  return false;
}
