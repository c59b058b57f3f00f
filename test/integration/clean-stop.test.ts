import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTeam } from '../../src/postgres/seed.ts';
import { startLoad } from '../fault/load.ts';
import { isClean, judge } from '../fault/verdict.ts';
import { drained, progressOf, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, sumOf, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = 'phc_stop';
const LIMIT_MS = 60_000;

const here = await requireSurroundings();

describe.skipIf(!here.available)('an orderly end', () => {
  let surroundings: Surroundings;
  let team: number;
  const started: TroupeProcess[] = [];
  const start = async (): Promise<TroupeProcess> => {
    const troupe = await startTroupe({ env: surroundings.env });
    started.push(troupe);
    return troupe;
  };

  beforeAll(async () => {
    surroundings = await startSurroundings();
    team = await seedTeam(surroundings.sql, { token: TOKEN });
  });
  afterAll(async () => {
    await Promise.all(started.map((troupe) => troupe.kill()));
    await surroundings?.stop();
  });

  const storedCount = async (): Promise<number> => {
    const [row] = await surroundings.rows.query<{ n: string | number }>('SELECT count() AS n FROM events WHERE team_id = {team:Int64}', {
      team,
    });
    return Number(row?.n);
  };

  test('told to stop under load, Troupe exits 0 with everything it read committed; the next one replays nothing and no row is there twice', async () => {
    const load = startLoad({ producer: surroundings.producer, topic: TOPIC, token: TOKEN, seed: 11, eventsPerSecond: 600, userCount: 150 });
    try {
      const first = await start();
      await until(async () => (await progressOf(surroundings)).committed > 1_500, 'work is under way', LIMIT_MS);
      expect(await first.stop()).toEqual({ code: 0, signal: null });
      // Settled is committed: what is stored is what the group has passed, and not one record more.
      expect(await storedCount()).toBe((await progressOf(surroundings)).committed);

      const second = await start();
      await load.stop();
      await drained(surroundings, LIMIT_MS);
      expect(await second.metric('troupe_records_already_stored_total')).toBe(0);
      const verdict = await judge(surroundings, load, team);
      expect(verdict.examples).toEqual([]);
      expect(isClean(verdict)).toBe(true);
      expect(await storedCount()).toBe(load.sentCount());
      expect(await second.stop()).toEqual({ code: 0, signal: null });
    } finally {
      await load.stop();
    }
  });

  test('two signals end it at once; what was in work comes again and is stored once', async () => {
    const load = startLoad({ producer: surroundings.producer, topic: TOPIC, token: TOKEN, seed: 12, eventsPerSecond: 600, userCount: 150 });
    const before = await storedCount();
    try {
      const impatient = await start();
      await until(async () => (await storedCount()) > before + 500, 'work is under way', LIMIT_MS);
      process.kill(impatient.pid, 'SIGTERM');
      await until(() => impatient.output().includes('Told to stop'), 'the first signal is taken', LIMIT_MS);
      process.kill(impatient.pid, 'SIGTERM');
      const { code } = await impatient.exited;
      expect([0, 1]).toContain(code); // 0 when the drain was faster than the second signal
      await start();
      await load.stop();
      await drained(surroundings, LIMIT_MS);
      expect(await storedCount()).toBe(before + load.sentCount());
    } finally {
      await load.stop();
    }
  });

  test('while it runs, the account of records adds up in every scrape, and the inspector answers', async () => {
    const troupe = started.at(-1);
    if (troupe === undefined) throw new Error('no process runs');
    const load = startLoad({ producer: surroundings.producer, topic: TOPIC, token: TOKEN, seed: 13, eventsPerSecond: 600, userCount: 150 });
    try {
      for (let scrape = 0; scrape < 20; scrape++) {
        const text = await (await fetch(`${troupe.urls.operations}/metrics`)).text();
        const of = (name: string): number => sumOf(text, `troupe_${name}`);
        const ended = of('records_already_stored_total') + of('outcome_total') + of('records_abandoned_total');
        expect(ended + of('in_flight')).toBe(of('records_read_total'));
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      await load.stop();
    }
    await drained(surroundings, LIMIT_MS);
    const ask = async <T>(path: string): Promise<T> => (await (await fetch(`${troupe.urls.inspector}/inspect/${path}`)).json()) as T;
    expect((await fetch(`${troupe.urls.inspector}/`)).status).toBe(200);
    const ledgers = await ask<{ topic: string; pendingCount: number; lag: number }[]>('ledger');
    expect(ledgers.filter(({ topic }) => topic === TOPIC).map(({ pendingCount, lag }) => [pendingCount, lag])).toEqual(
      Array(4).fill([0, 0]),
    );
    const kinds = await ask<{ kind: string; count: number }[]>('kinds');
    expect(kinds.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['clickhouse-writer', 'person-writer', 'router', 'team', 'distinct-id']),
    );
    const [event] = load.sent.get('user-0') ?? [];
    expect(await ask('event/' + (event?.uuid ?? ''))).toMatchObject({ outcome: 'stored', uuid: event?.uuid, team_id: team });
    const user = await ask<{ ownedHere: boolean; person: { id: string } | null }>(`person?team=${team}&distinct_id=user-0`);
    expect(user.ownedHere).toBe(true);
    expect(user.person?.id).toMatch(/^[0-9a-f-]{36}$/);
  });
});
