import { describe, expect, it } from 'vitest';
import { createTeamCache, KEEP } from '../../../actors/router/index.ts';
import { createIntake } from '../../../supervisors/routers.ts';
import type { TroupeDeps } from '../../../supervisors/deps.ts';
import type { Teams } from '../../../supervisors/teams.ts';
import type { Writers } from '../../../supervisors/writers.ts';
import type { Prefetch } from '../../../actors/person-writer/index.ts';
import type { DeadLetterMessage } from '../../../actors/dead-letter/messages.ts';
import type { TeamMessage } from '../../../actors/team/messages.ts';
import { ClickHouseError, type ClickHouse, type OffsetRange } from '../../../src/clickhouse/port.ts';
import { teamId } from '../../../src/domain/ids.ts';
import { TEAM_DEFAULTS } from '../../../src/domain/team.ts';
import { EMPTY_DROP_LIST } from '../../../src/domain/token.ts';
import type { ConsumerHandlers, RecordBatch, RecordConsumer } from '../../../src/kafka/port.ts';
import { createAccounts } from '../../../src/telemetry/account.ts';
import { SETTINGS, TOPIC } from '../../fault/simulation/settings.ts';
import { pass, probe, testSystem } from '../../kit/actors.ts';
import { seededRandom } from '../../kit/clock.ts';
import { eventRecord } from '../../kit/records.ts';

const TOKEN = 'phc_takeover';
const PARTITION = { topic: TOPIC, partition: 0, committed: 10 };

/** An intake whose consumer and ClickHouse do what a test tells them. */
async function start(stored: readonly OffsetRange[] = [], end = Number.MAX_SAFE_INTEGER) {
  const { system, clock } = testSystem();
  const told: TeamMessage[] = [];
  const clickhouseState = { isAway: false, asked: 0 };
  const question = <T>(answer: T): Promise<T> => {
    clickhouseState.asked++;
    return clickhouseState.isAway ? Promise.reject(new ClickHouseError('unavailable', 'away')) : Promise.resolve(answer);
  };
  const clickhouse: Pick<ClickHouse, 'killInserts' | 'storedOffsets'> = {
    killInserts: () => question(undefined),
    storedOffsets: () => question(stored),
  };
  let handlers: ConsumerHandlers | undefined;
  const consumer: RecordConsumer = {
    start(to) {
      handlers = to;
      return Promise.resolve();
    },
    commit: () => Promise.resolve('committed'),
    sinceHeartbeatMs: () => 0,
    sincePollMs: () => 0,
    pause: () => undefined,
    resume: () => undefined,
    stop: () => Promise.resolve(),
  };
  const team = { ...TEAM_DEFAULTS, id: teamId(1), token: TOKEN, name: 'team', ingestedEvent: true };
  const deps: Partial<TroupeDeps> = {
    clock,
    random: seededRandom(1),
    settings: { ...SETTINGS, revokeDrainMs: 10 },
    output: { type: 'clickhouse', clickhouse: clickhouse as ClickHouse, endOffset: () => question(end) },
    teams: { byToken: (tokens) => Promise.resolve(tokens.map(() => team)), byId: (ids) => Promise.resolve(ids.map(() => team)) },
    dropList: EMPTY_DROP_LIST,
    accounts: createAccounts(),
  };
  const teams: Pick<Teams, 'tellTeam'> = {
    tellTeam(_team, message) {
      told.push(message);
      return 'accepted';
    },
  };
  const writers: Pick<Writers, 'deadLetter'> = { deadLetter: probe<DeadLetterMessage>() };
  const prefetch: Pick<Prefetch, 'prefetch'> = { prefetch: () => Promise.resolve() };
  const intake = createIntake({
    system,
    parent: system.parent('routers'),
    deps: deps as TroupeDeps,
    spec: { name: 'main', createConsumer: () => consumer, overflow: KEEP },
    teamCache: createTeamCache(deps.teams as TroupeDeps['teams'], clock, SETTINGS.teamCache),
    below: { teams: teams as Teams, prefetch: prefetch as Prefetch },
    writers: () => writers as Writers,
    onEscalate: (_ref, error) => {
      throw error;
    },
  });
  await intake.start();
  if (handlers === undefined) throw new Error('the consumer was not started');
  const to = handlers;
  const events = (): { readonly offset: number; readonly maybeReplayed: boolean; readonly generation: number }[] =>
    told.flatMap((message) =>
      message.type !== 'groups'
        ? []
        : message.groups.flatMap((group) =>
            group.events.map(({ offset, maybeReplayed, settlement: { generation } }) => ({ offset, maybeReplayed, generation })),
          ),
    );
  return {
    intake,
    clickhouseState,
    events,
    assigned: (generation: number) => to.assigned({ generation, memberId: 'me', partitions: [PARTITION] }),
    revoked: (generation: number) => to.revoked(generation),
    batch: (generation: number, offsets: readonly number[]) => to.batch(batchOf(generation, offsets)),
    pass: (ms: number, stepMs: number) => pass(system, clock, ms, stepMs),
  };
}

function batchOf(generation: number, offsets: readonly number[]): RecordBatch {
  const records = offsets.map((offset) => ({
    ...eventRecord({ token: TOKEN, distinctId: `id-${offset}`, event: 'seen' }),
    headers: undefined,
    offset,
    timestampMs: 0,
  }));
  return { topic: TOPIC, partition: 0, generation, highWatermark: 1_000, records };
}

describe('a takeover', () => {
  it('I5: that waits for ClickHouse while its generation ends leaves the partition to the next one', async () => {
    const { intake, clickhouseState, assigned, revoked, batch, events, pass: passing } = await start();
    clickhouseState.isAway = true;
    const first = assigned(1);
    await passing(300, 50);
    await revoked(1);
    const second = assigned(2);
    await passing(300, 50);
    clickhouseState.isAway = false;
    await passing(10_000, 100);
    await Promise.all([first, second]);

    expect(intake.ledgers().map(({ generation }) => generation)).toEqual([2]);
    expect(intake.ready()).toBe(true);
    const accepted = batch(2, [10, 11]);
    await passing(100, 10);
    await accepted;
    expect(events().map(({ offset, generation }) => [offset, generation])).toEqual([
      [10, 2],
      [11, 2],
    ]);
  });

  it('that waits for ClickHouse gives up when the process stops', async () => {
    const { intake, clickhouseState, assigned, pass: passing } = await start();
    clickhouseState.isAway = true;
    const first = assigned(1);
    await passing(300, 50);
    const stopped = intake.stop(1_000);
    await passing(5_000, 100);
    await Promise.all([first, stopped]);
    const { asked } = clickhouseState;
    await passing(10_000, 1_000);
    expect(clickhouseState.asked).toBe(asked);
    expect(intake.ledgers()).toEqual([]);
  });

  it('takes for replayed what a former owner may have reached: its gap beyond the last row it stored', async () => {
    const { assigned, batch, events, pass: passing } = await start([{ from: 10, to: 200 }]);
    await assigned(1);
    const edge = 200 + SETTINGS.router.gapCount;
    const accepted = batch(1, [edge - 1, edge]);
    await passing(100, 10);
    await accepted;
    expect(events().map(({ offset, maybeReplayed }) => [offset, maybeReplayed])).toEqual([
      [edge - 1, true],
      [edge, false],
    ]);
  });

  it('takes nothing for replayed that came after the takeover: a former owner cannot have read it', async () => {
    const { assigned, batch, events, pass: passing } = await start([{ from: 10, to: 200 }], 205);
    await assigned(1);
    const accepted = batch(1, [204, 205]);
    await passing(100, 10);
    await accepted;
    expect(events().map(({ offset, maybeReplayed }) => [offset, maybeReplayed])).toEqual([
      [204, true],
      [205, false],
    ]);
  });
});
