import type { Json } from '../../domain/event.ts';
import { isJsonObject, own, put } from '../../domain/json.ts';
import { isKeptNumber } from '../json-text.ts';
import { isCardNumber, MASK, maskText, type Detector, type Findings } from './detectors.ts';
import { compilePatterns, wayTo, type Way } from './patterns.ts';

export interface MaskingSettings {
  /** Patterns of properties that are taken away ({@link compilePatterns}). They go before `replace`. */
  readonly remove: readonly string[];
  /** Patterns of properties whose value becomes `***`. */
  readonly replace: readonly string[];
  /** What becomes `***` within texts, whatever the property is called. */
  readonly detect: readonly Detector[];
}

/** What was done, each counted. */
export interface Masked extends Findings {
  removed: number;
  replaced: number;
}

export const nothingMasked = (): Masked => ({ removed: 0, replaced: 0 });

/** Masks one root: the properties of an event, its `$set`, its `$set_once`. */
export type Mask = (root: Json, masked: Masked) => Json;

/**
 * Who an event is about, and which group: at the top of the properties, and never masked. Masked ids would be one id, and all who have it
 * one person; who does not want an address of mail as an id gives another one.
 */
const IDS = new Set(['token', 'distinct_id', '$distinct_id', '$anon_distinct_id', 'alias', '$groups', '$group_type', '$group_key']);
/** In the properties, and roots like these themselves: paths begin anew in them. */
const ROOTS = new Set(['$set', '$set_once', '$group_set']);

/**
 * Takes properties away, replaces their values, and what detectors find in texts and numbers (spec/capture.md 16.1, row 32).
 *
 * M1 What is not masked stays as it is: the order of keys, numbers beyond doubles, `__proto__`. An event without a finding is the same object.
 * M2 What is given is not changed: where something is masked, there is a copy.
 */
export function createMask({ remove, replace, detect }: MaskingSettings): Mask {
  const [removed, replaced] = [compilePatterns(remove), compilePatterns(replace)];
  const stepCount = Math.max(removed.stepCount, replaced.stepCount);
  /** From here paths begin; undefined when there are none, and nobody keeps account of the way. */
  const top: Way = stepCount === 0 ? undefined : [];

  function maskValue(value: unknown, way: Way, masked: Masked): unknown {
    if (typeof value === 'string') return maskText(value, detect, masked);
    if (Array.isArray(value)) return maskArray(value, way, masked);
    if (isKeptNumber(value)) return maskNumber(value, JSON.stringify(value), masked);
    if (isJsonObject(value)) return maskObject(value, way, masked);
    return typeof value === 'number' ? maskNumber(value, String(value), masked) : value;
  }

  /** Cards are also sent as numbers; the other detectors look for what no number is. */
  function maskNumber(value: unknown, text: string, masked: Masked): unknown {
    if (!detect.includes('cards') || !isCardNumber(text)) return value;
    masked.cards = (masked.cards ?? 0) + 1;
    return MASK;
  }

  function maskArray(values: readonly unknown[], way: Way, masked: Masked): unknown {
    let copy: unknown[] | undefined;
    for (const [index, value] of values.entries()) {
      const kept = maskValue(value, way, masked);
      if (kept !== value) (copy ??= [...values])[index] = kept;
    }
    return copy ?? values;
  }

  function maskObject(object: Json, way: Way, masked: Masked, isRoot = false): Json {
    let changes: Map<string, unknown> | undefined;
    for (const key in object) {
      const value = own(object, key);
      if (isRoot && IDS.has(key)) continue;
      const here = wayTo(way, key, stepCount);
      let kept: unknown;
      if (removed.matches(key, here)) {
        masked.removed++;
        kept = undefined;
      } else if (replaced.matches(key, here)) {
        masked.replaced++;
        kept = MASK;
      } else if (isRoot && ROOTS.has(key) && isJsonObject(value)) kept = maskObject(value, top, masked, true);
      else kept = maskValue(value, here, masked);
      if (kept !== value) (changes ??= new Map<string, unknown>()).set(key, kept);
    }
    return changes === undefined ? object : changed(object, changes);
  }

  return (root, masked) => maskObject(root, top, masked, true);
}

/** M1: the keys in their order; those that became undefined are gone. */
function changed(object: Json, changes: ReadonlyMap<string, unknown>): Json {
  const copy: Json = {};
  for (const key in object) {
    const value = changes.has(key) ? changes.get(key) : own(object, key);
    if (value !== undefined) put(copy, key, value);
  }
  return copy;
}
