import { takesEvents } from '../routes.ts';
import { QUOTA_RESOURCES, type QuotaResource } from '../quotas.ts';

/** What an operator has laid down for one token: the hash `config:{token}` in Redis (spec/capture.md 16.1, rows 24 and 30). */
export interface TokenSettings {
  readonly isEnabled: boolean;
  /** Which share of its events is stored. Undefined: all. */
  readonly sampling: Sampling | undefined;
  /** Where its events go instead of the main and the historical topic. */
  readonly topic: string | undefined;
  /** Undefined: all. */
  readonly types: ReadonlySet<QuotaResource> | undefined;
  /** Paths of routes. Undefined: all. */
  readonly endpoints: ReadonlySet<string> | undefined;
  /** In place of the rate that all tokens have. */
  readonly rate: Rate | undefined;
}

export interface Sampling {
  readonly share: number;
  /** What is stored or left out together. A recording goes by its session. */
  readonly by: 'distinct_id' | 'uuid';
}

/** How many events of one type may come. */
export interface Rate {
  readonly perSecond: number;
  /** At once, after a rest. */
  readonly burstCount: number;
}

/** Of a token that has no hash. */
export const NO_SETTINGS: TokenSettings = {
  isEnabled: true,
  sampling: undefined,
  topic: undefined,
  types: undefined,
  endpoints: undefined,
  rate: undefined,
};

export interface SettingFault {
  readonly field: string;
  readonly problem: string;
}

/**
 * Reads the fields of a hash. A field that cannot be read costs itself and is named; the others hold. Fields with other names are somebody else's.
 *
 * @param topics those that may be named
 */
export function readTokenSettings(
  fields: ReadonlyMap<string, string>,
  topics: ReadonlySet<string>,
): { readonly settings: TokenSettings; readonly faults: readonly SettingFault[] } {
  const faults: SettingFault[] = [];
  function read<T>(field: string, parse: (text: string) => T | undefined, problem: string): T | undefined {
    const text = fields.get(field)?.trim();
    if (text === undefined || text === '') return undefined;
    const value = parse(text);
    if (value === undefined) faults.push({ field, problem });
    return value;
  }

  const share = read('sampling', (text) => numberIn(text, 0, 1), 'no number from 0 to 1');
  const by = read('sampling_by', (text) => SAMPLED_BY.find((one) => one === text), 'neither distinct_id nor uuid') ?? 'distinct_id';
  const perSecond = read('rate_per_s', (text) => numberIn(text, 0.001, 1_000_000), 'no number from 0.001 to 1000000');
  const burstCount = read('rate_burst', (text) => numberIn(text, 1, 1_000_000_000), 'no number from 1 to 1000000000');
  const settings: TokenSettings = {
    isEnabled: read('enabled', (text) => BOOLEANS.get(text.toLowerCase()), 'neither true nor false') ?? true,
    sampling: share === undefined || share === 1 ? undefined : { share, by },
    topic: read('topic', (text) => (topics.has(text) ? text : undefined), 'no topic that may be written to'),
    types: read('allowed_types', (text) => setOf(text, isType), `no list of ${QUOTA_RESOURCES.join(', ')}`) as
      ReadonlySet<QuotaResource> | undefined,
    endpoints: read('allowed_endpoints', (text) => setOf(text, takesEvents), 'no list of paths that events are sent to'),
    rate: perSecond === undefined ? undefined : { perSecond, burstCount: Math.floor(burstCount ?? Math.max(1, perSecond)) },
  };
  return { settings, faults };
}

const SAMPLED_BY = ['distinct_id', 'uuid'] as const;
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);
const isType = (text: string): boolean => QUOTA_RESOURCES.some((one) => one === text);

function numberIn(text: string, min: number, max: number): number | undefined {
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}

/** Undefined when one part is not what it may be: a list with a typo in it must not shut out what was meant. */
function setOf(text: string, isPart: (part: string) => boolean): ReadonlySet<string> | undefined {
  const parts = text.split(',').map((part) => part.trim());
  return parts.every(isPart) ? new Set(parts) : undefined;
}
