import { isAlias, isScalar, type Document, type Node } from 'yaml';
import { closest } from './closest.ts';
import type { Problem } from './problem.ts';

/** A part of the file with where it stands. What reads a part says into `problems` what is wrong with it. */
export interface Reading {
  readonly document: Document;
  readonly placeOf: (node: Node | null | undefined) => string;
  readonly problems: Problem[];
}

/** How keys are compared: `BodyBytes`, `body_bytes` and `bodyBytes` are one. */
export const plain = (key: string): string => key.replaceAll(/[-_\s]/g, '').toLowerCase();
/** The one that a key was most likely meant to be. */
export function closestKey(key: string, keys: readonly string[]): string | undefined {
  const byUpperCase = new Map(keys.map((one) => [one.toUpperCase(), one]));
  return byUpperCase.get(closest(key, [...byUpperCase.keys()]) ?? '');
}

export const keyOf = (key: Node): string => (isScalar(key) ? String(key.value) : '');
export const isNothing = (node: Node | null): boolean => node === null || (isScalar(node) && node.value === null);
/** What an alias (`*name`) stands for; any other node itself. */
export const resolved = (node: Node | null | undefined, { document }: Reading): Node | null =>
  isAlias(node) ? (node.resolve(document) ?? null) : (node ?? null);
