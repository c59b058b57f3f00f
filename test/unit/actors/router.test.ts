import { describe, expect, it } from 'vitest';
import { createTeamCache } from '../../../actors/router/index.ts';
import { deadLettered } from '../../../src/domain/outcome.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { PostgresError, type TeamStore } from '../../../src/postgres/port.ts';
import { gate, pass, settle } from '../../kit/actors.ts';
import { manualClock } from '../../kit/clock.ts';
import { createFakeTeamStore } from '../../kit/fake-person-store.ts';
import { aRecord, aTeam, type RecordParts } from '../../kit/pipeline.ts';
import { records, setUp, upTo } from './router.kit.ts';

describe('a batch', () => {
  it('R5: is accepted once, after its last record was dispatched', async () => {
    const { hand, accepted, offsets } = setUp({ sliceCount: 3 });
    await hand(records(8));
    expect(offsets()).toEqual(upTo(8));
    expect(accepted.messages).toEqual([{ type: 'batch-accepted' }]);
  });

  it('R5: without records is accepted', async () => {
    const { hand, accepted } = setUp();
    await hand([]);
    expect(accepted.messages).toHaveLength(1);
  });

  it('R3: becomes one group of each distinct_id, in offset order inside', async () => {
    const { hand, told } = setUp();
    await hand(records(6, (index) => ({ distinctId: index % 2 === 0 ? 'even' : 'odd' })));
    const groups = told.flatMap((message) => (message.type === 'groups' ? message.groups : []));
    expect(groups.map(({ distinctId, events }) => [distinctId, events.map(({ offset }) => offset)])).toEqual([
      ['even', [0, 2, 4]],
      ['odd', [1, 3, 5]],
    ]);
  });

  it('R2: what an earlier owner stored is skipped unparsed and counted as such', async () => {
    const { hand, offsets, ledger, deadLetter, inspect } = setUp({ stored: [{ from: 1, to: 3 }] });
    const unreadable = { ...aRecord(2), value: Buffer.from('{') };
    await hand([aRecord(0), aRecord(1), unreadable, aRecord(3)]);
    expect(offsets()).toEqual([0, 3]);
    expect(deadLetter.messages).toEqual([]);
    expect(ledger.snapshot()).toMatchObject({ readCount: 4, alreadyStoredCount: 2, pendingCount: 2 });
    expect(inspect()).toMatchObject({ alreadyStored: 2 });
  });

  it('R2: a record that comes a second time in one generation is not dispatched again', async () => {
    const { hand, offsets } = setUp();
    await hand(records(3));
    await hand(records(4));
    expect(offsets()).toEqual([0, 1, 2, 3]);
  });

  it('marks what a previous owner may have worked on', async () => {
    const { hand, dispatched } = setUp({ replayedBelow: 2 });
    await hand(records(4));
    expect(dispatched.map(({ maybeReplayed }) => maybeReplayed)).toEqual([true, true, false, false]);
  });
});

describe('R6: one record is at fault', () => {
  it('an unreadable one goes to the dead letters with its bytes; its neighbours are dispatched', async () => {
    const { hand, offsets, deadLetter, ledger } = setUp();
    const value = Buffer.from('not JSON');
    await hand([aRecord(0), { ...aRecord(1), value }, { ...aRecord(2), value: null }, aRecord(3)]);
    expect(offsets()).toEqual([0, 3]);
    const poison = deadLetter.messages.flatMap((message) => (message.type === 'dead-letter' ? message.records : []));
    expect(poison.map(({ offset, reason, origin }) => [offset, reason, origin])).toEqual([
      [1, 'failed_parse_message', 'router'],
      [2, 'failed_parse_message', 'router'],
    ]);
    expect(poison[0]?.value).toBe(value);
    expect(ledger.isSettled(poison[0]!.offset)).toBe(false);
  });

  it.each([
    ['an unknown token', { token: 'nobody' }, 'invalid_token'],
    ['no token', { token: undefined }, 'no_token'],
    ['an empty token', { token: '' }, 'no_token'],
    ['a token longer than any', { token: 'x'.repeat(5_000) }, 'invalid_token'],
    ['a token of half a surrogate pair', { token: '\ud83d' }, 'invalid_token'],
    ['a team_id that nobody may name', { token: 'nobody', outer: { team_id: 1 } }, 'invalid_token'],
  ] as const)('%s ends as dropped; its neighbours are dispatched', async (_name, parts, reason) => {
    const ended: Facts['event-ended'][] = [];
    const end = observe('event-ended', (fact) => void ended.push(fact));
    const { hand, offsets, ledger, accepted } = setUp();
    await hand([aRecord(0), aRecord(1, parts), aRecord(2)]);
    end();
    expect(offsets()).toEqual([0, 2]);
    expect(ledger.snapshot().outcomes).toEqual([{ outcome: 'dropped', reason, count: 1 }]);
    expect(ended).toMatchObject([{ offset: 1, outcome: 'dropped', reason }]);
    expect(accepted.messages).toHaveLength(1);
  });

  it('tokens and pairs on the drop lists are dropped before anybody looks them up', async () => {
    let asked = 0;
    const store: TeamStore = {
      ...createFakeTeamStore([aTeam(1)]),
      byToken: (tokens) => ((asked += 1), Promise.resolve(tokens.map(() => aTeam(1)))),
    };
    const { hand, offsets, ledger } = setUp({ store, drop: { byToken: 'blocked', byTokenDistinctId: 'token-1:bad,other:*' } });
    await hand([aRecord(0, { token: 'blocked' }), aRecord(1, { distinctId: 'bad' }), aRecord(2, { token: 'other' })]);
    expect(asked).toBe(0);
    await hand([aRecord(3, { distinctId: 'good' })]);
    expect(offsets()).toEqual([3]);
    expect(ledger.snapshot().outcomes).toEqual([
      { outcome: 'dropped', reason: 'blocked_token', count: 1 },
      { outcome: 'dropped', reason: 'disallowed', count: 2 },
    ]);
  });

  it('T-2: a team_id counts only where producers are trusted, and then without a token', async () => {
    const { hand, dispatched, ledger, deadLetter } = setUp({ trustTeamId: true });
    await hand([
      aRecord(0, { token: undefined, outer: { team_id: 2 } }),
      aRecord(1, { token: 'nobody', outer: { team_id: 1 } }),
      aRecord(2, { outer: { team_id: 99 } }),
      aRecord(3),
    ]);
    expect(dispatched.map(({ offset, teamId }) => [offset, teamId]).sort()).toEqual([
      [0, 2],
      [1, 1],
      [3, 1],
    ]);
    // A producer that is trusted and wrong: its bytes are kept, as of anything else that cannot be worked.
    expect(deadLetter.messages.flatMap((message) => (message.type === 'dead-letter' ? message.records : []))).toMatchObject([
      { offset: 2, reason: 'unknown_team_id', detail: 'no team has the id 99' },
    ]);
    expect(ledger.snapshot().outcomes).toEqual([]);
  });
});

describe('teams', () => {
  it('C2: are asked for once a slice, and then not until their time is over', async () => {
    const asked: string[][] = [];
    const store: TeamStore = {
      byToken: (tokens) => (asked.push([...tokens]), Promise.resolve(tokens.map((token) => (token === 'token-1' ? aTeam(1) : undefined)))),
      byId: () => Promise.resolve([]),
    };
    const { hand, system, clock } = setUp({ store, tokenTtlMs: 1_000 });
    await hand(records(4, (index) => ({ token: index % 2 === 0 ? 'token-1' : 'nobody' })));
    await hand(records(4, (index) => ({ token: index % 2 === 0 ? 'token-1' : 'nobody' }), 4));
    expect(asked).toEqual([['token-1', 'nobody']]);
    await pass(system, clock, 1_001);
    await hand(records(1, () => ({}), 8));
    expect(asked).toEqual([['token-1', 'nobody'], ['token-1']]);
  });

  it('T-5: what is dispatched goes by the team as it was looked up last, also on a partition that has known it for long', async () => {
    let anonymizeIps = false;
    const store: TeamStore = {
      byToken: (tokens) => Promise.resolve(tokens.map(() => aTeam(1, { anonymizeIps }))),
      byId: () => Promise.resolve([]),
    };
    const { hand, told, system, clock } = setUp({ store, tokenTtlMs: 1_000 });
    await hand([aRecord(0)]);
    anonymizeIps = true;
    await hand([aRecord(1)]);
    await pass(system, clock, 1_000);
    await hand([aRecord(2)]);
    expect(told.map((message) => message.type === 'groups' && message.team.anonymizeIps)).toEqual([false, false, true]);
  });

  it('T-5: a team is asked for again after the time of its id, a token of nobody after that of tokens', async () => {
    const clock = manualClock();
    const cache = createTeamCache(createFakeTeamStore([aTeam(1)]), clock, { tokenTtlMs: 300_000, idTtlMs: 120_000, capacityCount: 10 });
    await cache.resolve(['token-1', 'nobody'], [1]);
    clock.advance(119_999);
    expect([cache.byToken('token-1')?.id, cache.byToken('nobody'), cache.byId(1)?.id]).toEqual([1, null, 1]);
    clock.advance(1);
    expect([cache.byToken('token-1'), cache.byToken('nobody'), cache.byId(1)]).toEqual([undefined, null, undefined]);
    clock.advance(180_000);
    expect(cache.byToken('nobody')).toBeUndefined();
  });

  it('F-1: a team that had its first event is known to have had it, before its entry ends', async () => {
    const cache = createTeamCache(createFakeTeamStore([aTeam(1, { ingestedEvent: false })]), manualClock(), {
      tokenTtlMs: 1_000,
      idTtlMs: 1_000,
      capacityCount: 10,
    });
    await cache.resolve(['token-1', 'nobody'], [1]);
    cache.noteIngested([1, 2]);
    expect([cache.byToken('token-1')?.ingestedEvent, cache.byId(1)?.ingestedEvent, cache.byToken('nobody')]).toEqual([true, true, null]);
  });

  it('C3: a team whose time ends while another is looked up is not taken for unknown', async () => {
    const waits = gate();
    const store: TeamStore = {
      async byToken(tokens) {
        if (tokens.includes('late')) await waits.promise;
        return tokens.map((token) => (token === 'token-1' ? aTeam(1) : undefined));
      },
      byId: () => Promise.resolve([]),
    };
    const { hand, system, clock, offsets, ledger } = setUp({ store, tokenTtlMs: 1_000 });
    await hand([aRecord(0)]);
    await pass(system, clock, 999);
    await hand([aRecord(1), aRecord(2, { token: 'late' }), aRecord(3)]);
    clock.advance(10);
    waits.open();
    await settle(system);
    expect(offsets()).toEqual([0, 1, 3]);
    expect(ledger.snapshot().outcomes).toEqual([{ outcome: 'dropped', reason: 'invalid_token', count: 1 }]);
  });

  it('C1, C3: a flood of unknown tokens pushes a team out of the cache, never its events out of the pipeline', async () => {
    const { hand, offsets } = setUp({ cacheCount: 3 });
    await hand([aRecord(0)]);
    await hand([...records(20, (index) => ({ token: `junk-${index}` }), 1), aRecord(21), aRecord(22, { token: 'token-2' })]);
    expect(offsets()).toEqual([0, 21, 22]);
  });

  it('PostgreSQL away: the partition waits, and nothing is dropped', async () => {
    let away = true;
    const teams = createFakeTeamStore([aTeam(1)]);
    const store: TeamStore = {
      ...teams,
      byToken: (tokens) => (away ? Promise.reject(new PostgresError('unavailable', 'away')) : teams.byToken(tokens)),
    };
    const { hand, system, clock, offsets, accepted, crashes } = setUp({ store });
    await hand(records(3));
    await pass(system, clock, 60_000, 2_500);
    expect([offsets(), accepted.messages, crashes]).toEqual([[], [], []]);
    away = false;
    await pass(system, clock, 3_000, 500);
    expect(offsets()).toEqual([0, 1, 2]);
    expect(accepted.messages).toHaveLength(1);
  });

  it('revoked while PostgreSQL is away: the router gives the batch up and does not crash', async () => {
    const store: TeamStore = { byToken: () => Promise.reject(new PostgresError('unavailable', 'away')), byId: () => Promise.resolve([]) };
    const { hand, system, clock, ledger, accepted, crashes } = setUp({ store });
    await hand(records(3));
    ledger.close();
    await pass(system, clock, 10_000, 1_000);
    expect(crashes).toEqual([]);
    expect(accepted.messages).toHaveLength(1);
    expect(ledger.snapshot().outcomes).toEqual([]);
  });
});

describe('R4: credit', () => {
  it('no more events are in flight than credit; each settle lets the next go', async () => {
    const { hand, offsets, accepted, store } = setUp({ creditCount: 3 });
    await hand(records(5));
    expect(offsets()).toEqual([0, 1, 2]);
    expect(accepted.messages).toHaveLength(0);
    await store(1);
    expect(offsets()).toEqual([0, 1, 2, 3]);
    await store(0);
    expect(offsets()).toEqual([0, 1, 2, 3, 4]);
    expect(accepted.messages).toHaveLength(1);
  });

  it('bytes are credit too, and are free again when the watermark has passed them', async () => {
    const bytes = aRecord(0).value!.length;
    const { hand, offsets, store, inspect } = setUp({ creditBytes: 2 * bytes, sliceCount: 1 });
    await hand(records(4));
    expect(offsets()).toEqual([0, 1]);
    await store(1);
    expect(offsets()).toEqual([0, 1]);
    await store(0);
    expect(offsets()).toEqual([0, 1, 2, 3]);
    expect(inspect()).toMatchObject({ inFlight: 2, inFlightBytes: 2 * bytes });
  });

  it('a record larger than all credit goes alone', async () => {
    const { hand, offsets, store } = setUp({ creditBytes: 100 });
    await hand([aRecord(0, { properties: { long: 'x'.repeat(10_000) } }), aRecord(1)]);
    expect(offsets()).toEqual([0]);
    await store(0);
    expect(offsets()).toEqual([0, 1]);
  });

  it('nothing at or beyond the watermark and the gap goes, whatever was settled in between', async () => {
    const waits: Facts['router-backpressure-changed'][] = [];
    const end = observe('router-backpressure-changed', (fact) => void waits.push(fact));
    const { hand, offsets, store } = setUp({ gapCount: 4 });
    await hand(records(6));
    await store(1, 2, 3);
    expect(offsets()).toEqual([0, 1, 2, 3]);
    await store(0);
    end();
    expect(offsets()).toEqual(upTo(6));
    // Once when it begins and once when it ends, however often somebody looked in between.
    expect(waits).toMatchObject([
      { waiting: true, reason: 'gap' },
      { waiting: false, reason: 'gap' },
    ]);
  });

  it('a ledger that is full holds the partition as the gap does', async () => {
    const { hand, offsets, store, accepted } = setUp({ ledgerCount: 4, gapCount: 1_000 });
    await hand(records(6));
    expect(offsets()).toEqual([0, 1, 2, 3]);
    await store(0, 1);
    expect(offsets()).toEqual(upTo(6));
    expect(accepted.messages).toHaveLength(1);
  });

  it("the router's own dead letters hold credit, and their acknowledgement lets the partition go on", async () => {
    const { hand, deadLetter, offsets, store, system, clock, inspect } = setUp({ gapCount: 4 });
    await hand([{ ...aRecord(0), value: Buffer.from('{') }, ...records(5, () => ({}), 1)]);
    expect(inspect()).toMatchObject({ inFlight: 4 });
    await store(1, 2, 3);
    expect(offsets()).toEqual([1, 2, 3]);
    const [first] = deadLetter.messages.flatMap((message) => (message.type === 'dead-letter' ? message.records : []));
    first?.settlement.settle(first.offset, deadLettered(first.reason));
    await pass(system, clock, 1);
    expect(offsets()).toEqual([1, 2, 3, 4, 5]);
    expect(inspect()).toMatchObject({ inFlight: 2 });
  });

  it('unreadable records alone cannot fill the memory: they wait for credit like the others', async () => {
    const { hand, deadLetter } = setUp({ creditCount: 5 });
    await hand(Array.from({ length: 20 }, (_, index) => ({ ...aRecord(index), value: Buffer.from('{') })));
    expect(deadLetter.messages).toHaveLength(5);
  });

  it('L1: an offset that is settled twice frees credit once', async () => {
    const { hand, offsets, store, inspect } = setUp({ creditCount: 2 });
    await hand(records(6));
    await store(0);
    await store(0);
    await store(0);
    expect(offsets()).toEqual([0, 1, 2]);
    expect(inspect()).toMatchObject({ inFlight: 2 });
  });
});

describe('L3: a team or a distinct_id over its share', () => {
  it('parks; the others pass it; the batch is accepted all the same', async () => {
    const { hand, offsets, accepted, store, inspect } = setUp({ teamCreditCount: 2, sliceCount: 1 });
    await hand(records(6, (index) => ({ token: index < 4 ? 'token-1' : 'token-2' })));
    expect(offsets()).toEqual([0, 1, 4, 5]);
    expect(inspect()).toMatchObject({ parked: 2, inFlight: 4 });
    expect(accepted.messages).toHaveLength(1);
    await store(0);
    expect(offsets()).toEqual([0, 1, 4, 5, 2]);
    await store(1, 2);
    expect(offsets()).toEqual([0, 1, 4, 5, 2, 3]);
    expect(inspect()).toMatchObject({ parked: 0 });
  });

  it('L2, R3: a hot distinct_id parks behind itself, in order, over batches', async () => {
    const { hand, offsets, store } = setUp({ distinctIdCreditCount: 1, sliceCount: 1 });
    await hand(records(3, () => ({ distinctId: 'hot' })));
    await hand([aRecord(3, { distinctId: 'cold' }), aRecord(4, { distinctId: 'hot' })]);
    expect(offsets()).toEqual([0, 3]);
    for (const next of [0, 1, 2, 4]) await store(next);
    expect(offsets()).toEqual([0, 3, 1, 2, 4]);
  });

  it('L2: one that comes between a settle and its news does not overtake what is parked', async () => {
    const router = setUp({ distinctIdCreditCount: 1, sliceCount: 1 });
    const hot = { distinctId: 'hot' };
    await router.hand([aRecord(0, hot), aRecord(1, hot)]);
    router.storeUnheard(0);
    await router.hand([aRecord(2, hot)]);
    await router.rest();
    expect(router.offsets()).toEqual([0, 1]);
    await router.store(1);
    expect(router.offsets()).toEqual([0, 1, 2]);
  });

  it('R4: what leaves the parking goes within the credit of the router, not only of its team', async () => {
    const teams = [1, 2, 3, 4, 5].map((id) => aTeam(id));
    const router = setUp({ creditCount: 6, teamCreditCount: 2, sliceCount: 50, teams });
    const of = (offset: number, team: number, distinctId = `d${offset}`) => aRecord(offset, { token: `token-${team}`, distinctId });
    await router.hand([of(0, 1), of(1, 1), of(2, 1), of(3, 2), of(4, 2), of(5, 2)]);
    await router.hand([of(6, 3), of(7, 3)]);
    expect(router.inspect()).toMatchObject({ inFlight: 6, parked: 2 });
    router.storeUnheard(0, 1, 3, 4);
    await router.hand([of(8, 4), of(9, 4), of(10, 5), of(11, 5)]); // takes the credit before the parked ones hear of it
    await router.rest();
    expect(router.inspect()).toMatchObject({ inFlight: 6, parked: 2 });
    await router.store(6);
    await router.store(7);
    expect(router.offsets()).toEqual([0, 1, 3, 4, 6, 7, 8, 9, 10, 11, 2, 5]);
  });

  it('no record is lost or reordered in its distinct_id, whatever the order of settles', async () => {
    const { hand, dispatched, store, ledger, accepted } = setUp({
      creditCount: 7,
      teamCreditCount: 4,
      distinctIdCreditCount: 2,
      gapCount: 20,
      sliceCount: 3,
    });
    const key = (index: number): RecordParts => ({ token: index % 3 === 0 ? 'token-2' : 'token-1', distinctId: `d${(index * 7) % 5}` });
    await hand(records(60, key));
    const done = new Set<number>();
    for (let round = 0; done.size < 60 && round < 500; round++) {
      const open = dispatched.filter(({ offset }) => !done.has(offset));
      const one = open[(round * 13) % Math.max(1, open.length)];
      if (one === undefined) break;
      done.add(one.offset);
      await store(one.offset);
    }
    expect(ledger.snapshot()).toMatchObject({ watermark: 60, pendingCount: 0, duplicateCount: 0 });
    expect(accepted.messages).toHaveLength(1);
    const byKey = Map.groupBy(dispatched, ({ teamId, envelope }) => `${teamId}:${envelope.distinctId}`);
    for (const events of byKey.values()) {
      const offsets = events.map(({ offset }) => offset);
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    }
  });
});

describe('a team that does not take', () => {
  it('R3: is offered the same again, in order, and the rest of the partition waits meanwhile', async () => {
    const { hand, control, offsets, system, clock, accepted } = setUp({ sliceCount: 2 });
    control.answer = 'full';
    await hand(records(6));
    await pass(system, clock, 100, 20);
    expect([offsets(), accepted.messages]).toEqual([[], []]);
    control.answer = 'accepted';
    await pass(system, clock, 40, 20);
    expect(offsets()).toEqual(upTo(6));
    expect(accepted.messages).toHaveLength(1);
  });

  it('R3: what leaves the parking meanwhile queues behind what was refused', async () => {
    const { hand, control, offsets, store, system, clock } = setUp({ teamCreditCount: 2, sliceCount: 1 });
    await hand([aRecord(0, { distinctId: 'x' }), aRecord(1, { distinctId: 'y' }), ...records(2, () => ({ distinctId: 'hot' }), 2)]);
    expect(offsets()).toEqual([0, 1]);
    control.answer = 'full';
    await store(0); // 2 leaves the parking and is refused
    control.answer = 'accepted';
    await store(1); // so does 3
    expect(offsets()).toEqual([0, 1]);
    await pass(system, clock, 40, 20);
    expect(offsets()).toEqual([0, 1, 2, 3]);
  });

  it('is not offered anything of a partition that was lost meanwhile', async () => {
    const { hand, control, offsets, system, clock, ledger } = setUp();
    control.answer = 'stopped';
    await hand(records(2));
    ledger.close();
    control.answer = 'accepted';
    await pass(system, clock, 100, 20);
    expect(offsets()).toEqual([]);
  });
});

describe('revoked in the middle of a batch', () => {
  it('R5: the batch is accepted once, and the rest of it is left to the new owner', async () => {
    const { hand, ledger, offsets, accepted, store, system, clock } = setUp({ creditCount: 2 });
    await hand(records(5));
    ledger.close();
    await store(0);
    await pass(system, clock, 1_000, 100);
    expect(offsets()).toEqual([0, 1]);
    expect(accepted.messages.length).toBeLessThanOrEqual(1);
    expect(ledger.snapshot()).toMatchObject({ readCount: 2, staleCount: 1 });
  });
});

describe('traces', () => {
  it('go on where the producer sampled, and are made for a share of the rest', async () => {
    const traceId = 'a'.repeat(32);
    const sampled = { traceparent: Buffer.from(`00-${traceId}-${'b'.repeat(16)}-01`) };
    const unsampled = { traceparent: Buffer.from(`00-${traceId}-${'b'.repeat(16)}-00`) };
    const { hand, dispatched } = setUp({ traceSampleRatio: 1 });
    await hand([aRecord(0, { headers: sampled }), aRecord(1, { headers: unsampled }), aRecord(2)]);
    expect(dispatched.map(({ trace }) => trace?.traceId === traceId)).toEqual([true, false, false]);
    expect(dispatched.map(({ trace }) => trace !== undefined)).toEqual([true, false, true]);
  });
});

describe('what it states (9.4)', () => {
  it('per slice how many groups there were and how many went to work at once; per batch its sizes, and the time until it was taken up', async () => {
    const facts: unknown[] = [];
    const ends = [
      observe('router-slice-dispatched', (fact) => facts.push(fact)),
      observe('router-batch-taken', (fact) => facts.push(fact)),
      observe('router-records-sized', ({ counts }) => facts.push(counts.reduce((sum, count) => sum + count, 0))),
    ];
    const { hand, store, system, clock } = setUp({ distinctIdCreditCount: 2, creditCount: 4 });
    await hand(records(5, (index) => ({ distinctId: ['a', 'a', 'a', 'b', 'c'][index] ?? '' })));
    await pass(system, clock, 30);
    await store(0, 1);
    for (const end of ends) end();
    expect(facts).toEqual([
      5,
      { topic: 'events', events: 4, groups: 2, groupsAtOnce: 2, overflowMode: 'Disabled' },
      { topic: 'events', events: 1, groups: 1, groupsAtOnce: 1, overflowMode: 'Disabled' },
      { topic: 'events', records: 5, durationMs: expect.any(Number) as number },
    ]);
    expect((facts.at(-1) as { durationMs: number }).durationMs).toBeGreaterThanOrEqual(30);
  });
});
