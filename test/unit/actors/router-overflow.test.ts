import { describe, expect, it } from 'vitest';
import type { RedirectedRecord } from '../../../actors/forwarder/messages.ts';
import type { OverflowPolicy } from '../../../actors/router/index.ts';
import { redirected } from '../../../src/domain/outcome.ts';
import { createOverflowLimiter } from '../../../src/domain/overflow.ts';
import type { KafkaRecord } from '../../../src/kafka/port.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { aRecord, NOW_MS, type RecordParts } from '../../kit/pipeline.ts';
import { records, setUp, type SetUp } from './router.kit.ts';

const redirect = (capacityCount: number, key: 'original' | 'none' = 'none', replenishPerSecond = 0): OverflowPolicy => ({
  type: 'redirect',
  topic: 'overflow',
  key,
  limiter: createOverflowLimiter({ capacityCount, replenishPerSecond }),
});

function overflowing(parts: SetUp) {
  const given = setUp(parts);
  const aside = (): RedirectedRecord[] =>
    given.forwarder.messages.flatMap((message) => (message.type === 'redirect' ? message.records : []));
  return { ...given, aside, asideOffsets: () => aside().map(({ offset }) => offset) };
}
const withoutKey = (offset: number, parts: RecordParts = {}): KafkaRecord => ({ ...aRecord(offset, parts), key: null });
const at = (offset: number, seconds: number, parts: RecordParts = {}): KafkaRecord => ({
  ...aRecord(offset, parts),
  timestampMs: NOW_MS + seconds * 1_000,
});

describe('an intake that redirects', () => {
  it('B-3: what a key has too many of goes to the other topic, the rest stays, and other keys are not concerned', async () => {
    const { hand, offsets, asideOffsets } = overflowing({ overflow: redirect(2) });
    await hand([...records(4, () => ({ distinctId: 'hot' })), aRecord(4, { distinctId: 'cool' })]);
    expect([offsets().sort(), asideOffsets()]).toEqual([
      [0, 1, 4],
      [2, 3],
    ]);
  });

  it('B-3, sharp edge 3: the clock is that of the records', async () => {
    const { hand, offsets, asideOffsets, clock } = overflowing({ overflow: redirect(1, 'none', 1) });
    await hand([at(0, 0), at(1, 0)]);
    clock.advance(3_600_000);
    await hand([at(2, 0), at(3, 1)]);
    expect([offsets(), asideOffsets()]).toEqual([
      [0, 3],
      [1, 2],
    ]);
  });

  it('B-3: a key is the token with the distinct_id, or the team_id where that is trusted', async () => {
    const byToken = overflowing({ overflow: redirect(1) });
    await byToken.hand([aRecord(0, { outer: { team_id: 1 } }), aRecord(1, { token: 'token-2' }), aRecord(2)]);
    expect(byToken.asideOffsets()).toEqual([2]);
    const byTeam = overflowing({ overflow: redirect(1), trustTeamId: true });
    await byTeam.hand([aRecord(0, { outer: { team_id: 1 } }), aRecord(1, { token: 'token-2', outer: { team_id: 1 } })]);
    expect(byTeam.asideOffsets()).toEqual([1]);
  });

  it('B-1, K-10: a record without a key is redirected unread, before any list is asked', async () => {
    const { hand, asideOffsets, deadLetter, ledger } = overflowing({
      overflow: redirect(100),
      drop: { byToken: 'token-1', byTokenDistinctId: 'token-2:*' },
    });
    await hand([withoutKey(0), { ...withoutKey(1), value: Buffer.from('not JSON') }, withoutKey(2, { token: 'token-2' })]);
    expect([asideOffsets(), deadLetter.messages]).toEqual([[0, 1, 2], []]);
    expect(ledger.snapshot()).toMatchObject({ readCount: 3, pendingCount: 3 });
  });

  it('B-1: a record without key and value cannot be written again: it is a dead letter here', async () => {
    const { hand, asideOffsets, deadLetter } = overflowing({ overflow: redirect(100) });
    await hand([{ ...withoutKey(0), value: null }]);
    expect([asideOffsets(), deadLetter.messages.length]).toEqual([[], 1]);
  });

  it('B-2, T-1: a blocked token takes nothing of a bucket, a disallowed id does', async () => {
    const { hand, asideOffsets, ledger, offsets } = overflowing({
      overflow: redirect(1),
      drop: { byToken: 'blocked', byTokenDistinctId: 'token-1:d' },
    });
    await hand([aRecord(0, { token: 'blocked' }), aRecord(1, { token: 'blocked' }), aRecord(2), aRecord(3)]);
    // 2 is disallowed and takes the token; 3 finds none, so it is set aside and dropped where it is read again.
    expect([offsets(), asideOffsets()]).toEqual([[], [3]]);
    expect(ledger.snapshot().outcomes).toEqual(
      expect.arrayContaining([
        { outcome: 'dropped', reason: 'blocked_token', count: 2 },
        { outcome: 'dropped', reason: 'disallowed', count: 1 },
      ]),
    );
  });

  it.each([
    ['none', null],
    ['original', 'token-1:d'],
  ] as const)('B-4, K-13: with key %s it leaves with the same value and headers', async (key, expected) => {
    const { hand, aside } = overflowing({ overflow: redirect(0, key) });
    const record = aRecord(0, { headers: { token: Buffer.from('t') } });
    await hand([record]);
    expect(aside()).toMatchObject([{ value: record.value, headers: record.headers }]);
    expect(aside()[0]?.key?.toString() ?? null).toBe(expected);
  });

  it('R7: it holds credit until Kafka has acknowledged it, and is then settled as redirected', async () => {
    const { hand, aside, accepted, ledger, rest } = overflowing({ overflow: redirect(0), creditCount: 2, sliceCount: 1 });
    await hand(records(3));
    expect([aside().length, accepted.messages.length, ledger.watermark()]).toEqual([2, 0, 0]);
    for (const { settlement, offset } of aside()) settlement.settle(offset, redirected('overflow'));
    await rest();
    expect([aside().length, accepted.messages.length, ledger.watermark()]).toEqual([3, 1, 2]);
    expect(ledger.snapshot().outcomes).toEqual([{ outcome: 'redirected', reason: 'overflow', count: 2 }]);
  });

  it('B-4: says how many of which team were found here, never a token; those that capture found are not counted', async () => {
    const found: Facts['router-keys-overflowed'][] = [];
    const end = observe('router-keys-overflowed', (fact) => void found.push(fact));
    const { hand } = overflowing({ overflow: redirect(1) });
    await hand([aRecord(0), aRecord(1), withoutKey(2)]);
    await hand([aRecord(3), aRecord(4), aRecord(5, { token: 'unheard-of' }), aRecord(6, { token: 'unheard-of' })]);
    end();
    expect(found.map(({ teamId, records: count }) => [teamId, count])).toEqual([
      [1, 1],
      [1, 2],
      [undefined, 1],
    ]);
    expect(JSON.stringify(found)).not.toContain('token-1');
  });
});

describe('an intake of the overflow topic', () => {
  const warnings = ({ redisBuffer }: ReturnType<typeof setUp>) =>
    redisBuffer.messages.flatMap((message) => (message.type === 'warn' ? message.warning : []));

  it('B-7: warns the team that resolves, by distinct_id', async () => {
    const parts = overflowing({ overflow: { type: 'warn', per: 'group' } });
    await parts.hand([
      aRecord(0, { distinctId: 'a' }),
      aRecord(1, { distinctId: 'b' }),
      aRecord(2, { distinctId: 'a' }),
      aRecord(3, { token: 'nobody' }),
    ]);
    expect(warnings(parts)).toMatchObject([
      { teamId: 1, type: 'ingestion_capacity_overflow', details: { overflowDistinctId: 'a' }, debounceKey: 'a', alwaysSend: false },
      { teamId: 1, type: 'ingestion_capacity_overflow', details: { overflowDistinctId: 'b' }, debounceKey: 'b', alwaysSend: false },
    ]);
  });

  it('B-6, B-7: a key is told of once where PostHog makes a batch of each event; order is kept all the same', async () => {
    const parts = overflowing({ overflow: { type: 'warn', per: 'event' } });
    await parts.hand(records(3));
    expect(warnings(parts)).toHaveLength(1);
    expect(parts.told.flatMap((message) => (message.type === 'groups' ? message.groups : []))).toHaveLength(1);
    expect(parts.offsets()).toEqual([0, 1, 2]);
  });

  it('B-1: reads what has no key, and sends nothing round in a circle', async () => {
    const { hand, offsets, aside } = overflowing({ overflow: { type: 'warn', per: 'event' } });
    await hand([withoutKey(0), withoutKey(1)]);
    expect([offsets(), aside()]).toEqual([[0, 1], []]);
  });
});

it('1.6: the other topics keep everything and warn of nothing, also what has no key', async () => {
  const { hand, offsets, forwarder, redisBuffer } = setUp();
  await hand([withoutKey(0), ...records(5, () => ({}), 1)]);
  expect([offsets(), forwarder.messages, redisBuffer.messages]).toEqual([[0, 1, 2, 3, 4, 5], [], []]);
});
