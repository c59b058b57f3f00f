import { MAX_DEPTH, own, put } from '../../domain/json.ts';
import { isKeptNumber } from '../json-text.ts';

/**
 * A copy of JSON, all the way down, with its long numbers: what a plugin does to it is done to it alone. Fields that are undefined are left
 * out. @throws Error that names what is no JSON, or nests too deep, circles included.
 */
export function copyJson<T>(value: T, depth = 0): T {
  return copy(value, depth) as T;
}

function copy(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (!Number.isFinite(value)) throw new Error(`${value} is no JSON`);
      return value;
    case 'object':
      if (value === null || isKeptNumber(value)) return value;
      if (depth >= MAX_DEPTH) throw new Error(`it nests deeper than ${MAX_DEPTH} levels, or in a circle`);
      return Array.isArray(value) ? value.map((one: unknown) => copy(one ?? null, depth + 1)) : copyObject(value, depth);
    default:
      throw new Error(`a ${typeof value} is no JSON`);
  }
}

function copyObject(object: object, depth: number): object {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) throw new Error(`a ${object.constructor.name} is no JSON`);
  const fields = object as Record<string, unknown>;
  const copied: Record<string, unknown> = {};
  for (const key of Object.keys(fields)) {
    const value = own(fields, key);
    if (value !== undefined) put(copied, key, copy(value, depth + 1));
  }
  return copied;
}
