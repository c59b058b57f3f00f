import { messageOf } from '../../domain/strings.ts';
import { state } from '../../observe/facts.ts';
import type { AllowanceUnused, RateTaken, StateStore } from '../../redis/port.ts';
import { rateLimited } from '../answers.ts';
import { without, type Batch, type DropCause, type Stage, type Verdict } from '../batch.ts';
import type { Lane } from '../classify.ts';
import type { Hurried } from '../hurried.ts';
import { resourceOf, type QuotaResource } from '../quotas.ts';
import type { Routed } from '../routed.ts';
import { maskedToken } from '../token.ts';
import type { Rate } from '../tokens/settings.ts';
import type { PreparedEvent } from './prepare.ts';
import type { PreparedRecording } from './prepare-recording.ts';

/** What tokens may spend, by types of events, in Redis (spec/capture.md 16.1, rows 14 and 23). */
export interface SpendingSettings {
  readonly store: Pick<StateStore, 'takeAllowances' | 'returnAllowances' | 'takeRates'>;
  readonly hurried: Hurried;
  readonly keyPrefix: string;
  /** Whether what is left to a token is counted, where it has a counter. */
  readonly hasAllowances: boolean;
  readonly rates: {
    /** Of a token that has none of its own. Undefined: no rate. */
    readonly rate: Rate | undefined;
    /** What becomes of what is too many. `refuse`: a 429 for the whole request, of which nothing is spent. */
    readonly over: 'overflow' | 'drop' | 'refuse';
  };
}

/** How events are counted, and recordings: one for each request, because half a recording is none. */
export interface Counting<E> {
  readonly typeOf: (one: E) => QuotaResource;
  /** Where one goes that is too many; undefined: there is no such place, and its rate is not asked. */
  readonly asideOf: (one: E) => Lane | undefined;
}

export const COUNTING_EVENTS: Counting<PreparedEvent> = {
  typeOf: ({ raw }) => resourceOf(raw),
  asideOf: ({ lane, topic }) => (lane === 'main' && topic === undefined ? 'overflow' : undefined),
};

export const COUNTING_RECORDINGS: Counting<PreparedRecording> = {
  typeOf: () => 'recordings',
  asideOf: ({ lane, topic }) => (lane === 'recordings' && topic === undefined ? 'recordingsOverflow' : undefined),
};

interface Taken {
  readonly allowances: ReadonlyMap<QuotaResource, { readonly granted: number; readonly unused: AllowanceUnused | undefined }>;
  readonly rates: ReadonlyMap<QuotaResource, RateTaken>;
}

/**
 * Takes from the allowances of a token, and asks its rates, before its events go on; both in one wait.
 *
 * A1 Where less is left than a request has, its first events pass and the others are left out: `<type>_over_quota`, 200.
 * A2 What was taken and not stored is given back: for a batch that failed all of it, else for what was left out behind this stage. Nobody waits for it.
 * A3 Redis away, or late, limits nobody. A type without a counter has no limit; a counter that is no number neither, and is told.
 * A4 A request that is refused for its rate has spent nothing.
 */
export function spending<E extends Routed>(settings: SpendingSettings | undefined, counting: Counting<E>, keepsKeys: boolean): Stage<E> {
  if (settings === undefined) return (next) => next;
  const { store, hurried, keyPrefix, hasAllowances, rates } = settings;
  const { typeOf, asideOf } = counting;
  const isRefusing = rates.over === 'refuse';

  async function takeAllowances(token: string, counts: Counts): Promise<Taken['allowances']> {
    const taken = new Map<QuotaResource, { granted: number; unused: AllowanceUnused | undefined }>();
    if (!hasAllowances || counts.size === 0) return taken;
    const wanted = [...counts].map(([type, count]) => ({ type, count, key: `${keyPrefix}quota:${token}:${type}` }));
    const answers = await hurried.ask('allowances', () => store.takeAllowances(wanted));
    for (const [index, { type, key }] of wanted.entries()) {
      const answer = answers?.[index];
      if (answer === undefined) continue; // A3
      const { granted, remaining, endsMs, isUnreadable } = answer;
      if (isUnreadable) state('capture-allowance-unreadable', { resource: type, who: maskedToken(token) });
      if (remaining === undefined) continue;
      state('capture-allowance-taken', { resource: type, who: maskedToken(token), remaining });
      taken.set(type, { granted, unused: granted === 0 ? undefined : { key, count: granted, endsMs } });
    }
    return taken;
  }

  async function takeRates(token: string, counts: Counts, rate: Rate): Promise<Taken['rates']> {
    const wanted = [...counts].map(([type, count]) => ({
      type,
      count,
      key: `${keyPrefix}rate:${token}:${type}`,
      intervalUs: Math.max(1, Math.round(1_000_000 / rate.perSecond)),
      burstCount: rate.burstCount,
    }));
    const answers = wanted.length === 0 ? [] : await hurried.ask('rates', () => store.takeRates(wanted, isRefusing));
    return new Map(wanted.flatMap(({ type }, index) => (answers?.[index] === undefined ? [] : [[type, answers[index]] as const])));
  }

  /** A2 */
  function giveBack(allowances: Taken['allowances'], countOf: (type: QuotaResource) => number): void {
    const unused: AllowanceUnused[] = [];
    for (const [type, { unused: taken }] of allowances) {
      const count = Math.min(countOf(type), taken?.count ?? 0);
      if (taken !== undefined && count > 0) unused.push({ ...taken, count });
    }
    if (unused.length === 0) return;
    store.returnAllowances(unused).catch((error: unknown) => {
      state('state-store-unavailable', {
        operation: 'allowances-returned',
        message: messageOf(error),
      });
    });
  }

  /** Which events pass, in their order, and which of them go aside. */
  function share(batch: Batch<E>, { allowances, rates: taken }: Taken): Batch<E> {
    const left = new Map([...allowances].map(([type, { granted }]) => [type, granted]));
    const conforming = new Map([...taken].map(([type, { granted }]) => [type, granted]));
    const aside = new Set<E>();
    const kept = without(batch, (event): DropCause | undefined => {
      const type = typeOf(event);
      if (!spendOne(left, type)) return `${type}_over_quota`;
      if (isRated(event) && !spendOne(conforming, type)) {
        if (rates.over === 'drop') return 'rate_limited';
        aside.add(event);
      }
      return undefined;
    });
    tellOver(batch, kept, aside.size);
    if (aside.size === 0) return kept;
    return { ...kept, events: kept.events.map((event) => (aside.has(event) ? sentAside(event) : event)) };
  }

  const isRated = (event: E): boolean => rates.over !== 'overflow' || asideOf(event) !== undefined;
  const sentAside = (event: E): E => {
    const lane = asideOf(event) ?? event.lane;
    return { ...event, lane, isKeyless: event.isKeyless || (lane === 'overflow' && !keepsKeys) };
  };

  async function spend(batch: Batch<E>, rate: Rate | undefined, next: (batch: Batch<E>) => Promise<Verdict>): Promise<Verdict> {
    const { token, events, drops } = batch;
    const rated = rate === undefined ? NOTHING : countsOf(events.filter(isRated), typeOf);
    const [allowances, ratesTaken] = await Promise.all([
      takeAllowances(token, countsOf(events, typeOf)),
      rate === undefined ? new Map<QuotaResource, RateTaken>() : takeRates(token, rated, rate),
    ]);
    const waitMs = isRefusing ? Math.max(0, ...[...ratesTaken.values()].map((one) => one.waitMs)) : 0;
    if (waitMs > 0) {
      giveBack(allowances, () => Infinity); // A4
      state('capture-rate-exceeded', { over: 'refuse', count: events.length });
      return { type: 'refused', answer: rateLimited(waitMs) };
    }
    const before = drops.length;
    const shared = share(batch, { allowances, rates: ratesTaken });
    const isOverQuota = shared.events.length === 0 && drops.slice(before).every(({ cause }) => cause.endsWith('_over_quota'));
    const [first] = events;
    if (isOverQuota && first !== undefined) return { type: 'over-quota', resource: typeOf(first) };
    const verdict = await next(shared);
    if (verdict.type !== 'taken') giveBack(allowances, () => Infinity);
    else giveBack(allowances, unstored(batch, before, typeOf));
    return verdict;
  }

  return (next) => (batch) => {
    const rate = batch.settings?.rate ?? rates.rate;
    if (batch.events.length === 0 || (rate === undefined && !hasAllowances)) return next(batch);
    return spend(batch, rate, next);
  };
}

type Counts = ReadonlyMap<QuotaResource, number>;
const NOTHING: Counts = new Map();

function countsOf<E>(events: readonly E[], typeOf: (one: E) => QuotaResource): Counts {
  const counts = new Map<QuotaResource, number>();
  for (const event of events) {
    const type = typeOf(event);
    counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return counts;
}

/** Whether there was one left; what is not counted always has one. */
function spendOne(left: Map<QuotaResource, number>, type: QuotaResource): boolean {
  const count = left.get(type) ?? Infinity;
  if (count <= 0) return false;
  left.set(type, count - 1);
  return true;
}

/** Of a batch that was taken: how many of a type were granted and then left out, here for their rate or by a stage behind. */
function unstored<E extends Routed>(
  { events, drops }: Batch<E>,
  from: number,
  typeOf: (one: E) => QuotaResource,
): (type: QuotaResource) => number {
  if (drops.length === from) return () => 0;
  const left = new Set<string | undefined>();
  for (const { uuid, cause } of drops.slice(from)) if (!cause.endsWith('_over_quota')) left.add(uuid);
  const counts = countsOf(
    events.filter(({ uuid }) => left.has(uuid)),
    typeOf,
  );
  return (type) => counts.get(type) ?? 0;
}

function tellOver<E extends Routed>(before: Batch<E>, after: Batch<E>, asideCount: number): void {
  const counts = new Map<DropCause, number>();
  const added = before.events.length - after.events.length;
  for (const { cause } of added === 0 ? [] : before.drops.slice(-added)) counts.set(cause, (counts.get(cause) ?? 0) + 1);
  for (const [cause, count] of counts) {
    if (cause === 'rate_limited') state('capture-rate-exceeded', { over: 'drop', count });
    else state('capture-quota-exceeded', { resource: cause.replace(/_over_quota$/, ''), count });
  }
  if (asideCount === 0) return;
  state('capture-rate-exceeded', { over: 'overflow', count: asideCount });
  state('capture-events-rerouted', { to: 'overflow', reason: 'rate_limited', count: asideCount });
}
