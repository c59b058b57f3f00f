import { describe, expect, it } from 'vitest';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import type { DistinctIdMessage } from '../../../actors/distinct-id/messages.ts';
import type { RedisBufferMessage } from '../../../actors/redis-buffer/messages.ts';
import { createTeam, type TeamDeps } from '../../../actors/team/index.ts';
import type { EventGroup } from '../../../src/domain/event.ts';
import { dropped } from '../../../src/domain/outcome.ts';
import type { TellResult } from '../../../src/runtime/ref.ts';
import { pass, probe, restarting, settle } from '../../kit/actors.ts';
import { testSettlement } from '../../kit/event-rows.ts';
import { aGroup, aTeam } from '../../kit/pipeline.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();

function setUp(parts: Partial<TeamDeps> = {}) {
  const { system, clock } = open();
  const deadLetter = probe<DeadLetterMessage>('dead-letter');
  const redisBuffer = probe<RedisBufferMessage>('redis-buffer');
  const handedOn: { readonly distinctId: string; readonly message: DistinctIdMessage }[] = [];
  const refusing = new Map<string, TellResult>();
  const spec = createTeam({
    tellDistinctId(_teamId, distinctId, message) {
      const answer = refusing.get(distinctId) ?? 'accepted';
      if (answer === 'accepted') handedOn.push({ distinctId, message });
      return answer;
    },
    pluginsOf: () => [],
    quota: (_team, count) => count,
    redisBuffer,
    deadLetter,
    options: { mailboxCapacityCount: 100 },
    strategy: restarting({ quarantineMs: 60_000 }, 1),
    ...parts,
  });
  const ref = system.spawn(spec, 'team');
  const settlement = testSettlement();
  return {
    ref,
    system,
    clock,
    settlement,
    deadLetter,
    redisBuffer,
    refusing,
    tell: async (...groups: readonly EventGroup[]) => {
      expect(ref.tell({ type: 'groups', team: aTeam(), groups })).toBe('accepted');
      await settle(system);
    },
    group: (distinctId: string, from: number, count = 1) =>
      aGroup(
        settlement,
        from,
        Array.from({ length: count }, () => ({})),
        distinctId,
      ),
    offsets: () =>
      handedOn.map(({ distinctId, message }) => [
        distinctId,
        ...(message.type === 'group' ? message.group.events.map((one) => one.offset) : []),
      ]),
    buried: () =>
      deadLetter.messages.flatMap((message) =>
        message.type === 'dead-letter' ? message.records.map((one) => [one.offset, one.reason]) : [],
      ),
  };
}

describe('a team', () => {
  it('T3: hands each group on with its plugins, and notes that the team has events', async () => {
    const { tell, group, offsets, redisBuffer, settlement, clock } = setUp();
    await tell(group('a', 0, 2), group('b', 2));
    expect(offsets()).toEqual([
      ['a', 0, 1],
      ['b', 2],
    ]);
    expect(redisBuffer.messages).toEqual([{ type: 'seen', teamId: 1, member: 'events', atMs: clock.now() }]);
    expect(settlement.outcomes.size).toBe(0);
  });

  it('T1: while a group is held, later ones of its distinct_id queue behind it; the others pass', async () => {
    const { tell, group, offsets, refusing, system, clock } = setUp();
    refusing.set('a', 'full');
    await tell(group('a', 0), group('b', 1));
    refusing.delete('a');
    await tell(group('a', 2), group('b', 3));
    expect(offsets()).toEqual([
      ['b', 1],
      ['b', 3],
    ]);
    await pass(system, clock, 20);
    expect(offsets().slice(2)).toEqual([
      ['a', 0],
      ['a', 2],
    ]);
  });

  it('T2: a distinct_id that stays full is offered again and again, nothing is settled, and nobody waits', async () => {
    const { tell, group, offsets, refusing, system, clock, settlement, deadLetter } = setUp();
    refusing.set('a', 'stopped');
    await tell(group('a', 0), group('a', 1));
    await pass(system, clock, 1_000, 20);
    expect(system.inspect.one('/team')?.details).toMatchObject({ held: 2 });
    refusing.clear();
    await pass(system, clock, 20);
    expect(offsets()).toEqual([
      ['a', 0],
      ['a', 1],
    ]);
    expect(settlement.outcomes.size + deadLetter.messages.length).toBe(0);
  });

  it('T3: over quota the first events pass and each of the others is dropped once', async () => {
    const { tell, group, offsets, settlement } = setUp({ quota: () => 3 });
    await tell(group('a', 0, 2), group('b', 2, 2), group('c', 4, 1));
    expect(offsets()).toEqual([
      ['a', 0, 1],
      ['b', 2],
    ]);
    expect([...settlement.outcomes]).toEqual([
      [3, dropped('quota')],
      [4, dropped('quota')],
    ]);
    expect(settlement.twice).toEqual([]);
  });

  it('T3: a quota hook that throws costs its groups and the held ones, each buried once with a name', async () => {
    let broken = false;
    const { tell, group, refusing, buried, offsets, system, clock } = setUp({
      quota(_team, count) {
        if (broken) throw new Error('no answer');
        return count;
      },
    });
    refusing.set('a', 'full');
    await tell(group('a', 0));
    broken = true;
    await tell(group('b', 1, 2));
    expect(buried()).toEqual([
      [0, 'actor_crashed'],
      [1, 'actor_crashed'],
      [2, 'actor_crashed'],
    ]);
    broken = false;
    refusing.clear();
    await pass(system, clock, 100, 10);
    await tell(group('a', 3));
    expect(offsets()).toEqual([['a', 3]]);
  });

  it('T3: in quarantine groups are buried by name instead of waiting', async () => {
    const { tell, group, buried, system, clock } = setUp({
      quota() {
        throw new Error('no answer');
      },
    });
    await tell(group('a', 0));
    await pass(system, clock, 100, 10);
    await tell(group('a', 1));
    await tell(group('a', 2));
    expect(buried()).toEqual([
      [0, 'actor_crashed'],
      [1, 'actor_crashed'],
      [2, 'actor_crashed'],
    ]);
  });

  it('T3: what waits when the tree is torn down comes again from Kafka: it is neither handed on nor buried', async () => {
    const { ref, system, group, buried, offsets, settlement } = setUp();
    ref.tell({ type: 'groups', team: aTeam(), groups: [group('a', 0)] });
    ref.tell({ type: 'groups', team: aTeam(), groups: [group('a', 1)] });
    await system.shutdown(1_000);
    expect(buried()).toEqual([]);
    expect(offsets().length + settlement.outcomes.size).toBeLessThan(2);
  });

  it('buries nothing of a partition that is lost', async () => {
    const { tell, group, buried, settlement } = setUp({
      quota() {
        throw new Error('no answer');
      },
    });
    settlement.active = false;
    await tell(group('a', 0));
    expect(buried()).toEqual([]);
  });
});
