/**
 * One seed in real time on a real PostgreSQL: two whole processes, each with the real person store and a pool of its own; Kafka and
 * ClickHouse are the fakes of the simulation. The seed decides the workload and the faults, and the machine the interleaving: a seed that
 * fails may pass the next time, but what is found is just as wrong.
 *
 * Even seeds are quiet. In odd ones the connections of a process are cut at any moment (pg_terminate_backend): calls whose answers are lost.
 */
import { observe } from '../../src/observe/facts.ts';
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import { createNetwork } from '../fault/simulation/network.ts';
import { GROUP, PARTITIONS_COUNT, TOPIC } from '../fault/simulation/settings.ts';
import { startProcess, type Plant, type SimulatedProcess } from '../fault/simulation/simulated-process.ts';
import { createSystems } from '../fault/simulation/systems.ts';
import { seededRandom } from '../kit/clock.ts';
import { startPostgres } from '../services/postgres.ts';
import { linearise } from './linearise.ts';
import { forgetAll, readCommits, readState, recordPostgres, RIVAL } from './postgres-recording.ts';
import { startPostgresRival } from './postgres-rival.ts';
import type { State } from './recording.ts';
import { failingNowAndThen, type ModelResult, type ModelViolation } from './run-seed.ts';
import { checkStory, visibleRows, warnedOf } from './story.ts';
import { createWorkload, type ModelRecord } from './workload.ts';

const LOAD_MS = 1_500;
const LIMIT_MS = 30_000;
/** Between the moment an answer was lost and what is done again because of it. */
const SLACK_MS = 5_000;

const cut: Statement = {
  name: 'model-cut',
  text: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle' LIMIT 1`,
};

export interface PostgresModel {
  run(seed: number, plant?: Plant): Promise<Omit<ModelResult, 'trace'>>;
  stop(): Promise<void>;
}

/** One server for all seeds; each begins with empty tables. */
export async function startPostgresModel(): Promise<PostgresModel> {
  const server = await startPostgres('embedded');
  const own = server.client();
  await ensureSchema(own, { migrate: false });
  await recordPostgres(own);
  const rival = server.client({ applicationName: RIVAL, connectionsCount: 1 });
  const pools = [1, 2].map((n) => server.client({ applicationName: `p${n}`, connectionsCount: 4 }));
  return {
    async run(seed, plant) {
      await forgetAll(own);
      return runSeed({ own, rival, pools }, seed, plant);
    },
    stop: () => server.stop(),
  };
}

interface Clients {
  readonly own: PostgresClient;
  readonly rival: PostgresClient;
  readonly pools: readonly PostgresClient[];
}

async function runSeed({ own, rival, pools }: Clients, seed: number, plant?: Plant): Promise<Omit<ModelResult, 'trace'>> {
  const isQuiet = seed % 2 === 0;
  const random = seededRandom(seed);
  const startMs = Date.now();
  // One time for everything that is compared: PostgreSQL's own, since the seed began. Its timers keep this process alive.
  const clock: Clock = { now: Date.now, monotonic: () => Date.now() - startMs, after: afterMs };
  const network = createNetwork(random, clock);
  const violations: ModelViolation[] = [];
  const report = (invariant: ModelViolation['invariant'], detail: string): void => void violations.push({ invariant, detail });
  const injected = { conflicts: 0, failures: 0 };
  const incidentsMs: number[] = [];
  const sent: { readonly sent: ModelRecord; readonly sentMs: number }[] = [];
  const assigned: number[] = [];
  const ears = [
    observe('person-flushed', ({ conflicts }) => void (injected.conflicts += conflicts)),
    observe('runtime-actor-crashed', ({ path, message }) => report('process', `${path} crashed: ${message}`)),
    observe('router-partition-assigned', ({ generation }) => void assigned.push(generation)),
  ];
  const workload = createWorkload({
    random: seededRandom(seed ^ 0xa11ce),
    startMs,
    recordCount: 120 + random.below(100),
    spreadMs: LOAD_MS,
    countedShare: isQuiet ? 0.7 : 1,
  });
  const systems = createSystems(network, workload);
  const processes = pools.map((pool, index): SimulatedProcess => {
    const checks = { report: (invariant: string, detail: string) => report('process', `${invariant}: ${detail}`) };
    return startProcess(`p${index + 1}`, network, systems, checks, (deps) => {
      const real = { ...deps, persons: failingNowAndThen(createPersonStore(pool), network, injected) };
      return plant === undefined ? real : plant(real);
    });
  });
  try {
    const group = systems.kafka.group(GROUP);
    const hasJoined = (): boolean =>
      group.memberCount === pools.length && assigned.filter((generation) => generation === group.generation).length === PARTITIONS_COUNT;
    await until(hasJoined, 'both processes have partitions');
    // Not NO_TROUBLE itself, which is peace: calls may be undone.
    network.trouble = { ...network.trouble, slowRatio: 0.05, slowMs: 60 };
    for (const record of workload.records) {
      clock.after(record.atMs, () => {
        systems.kafka.append(TOPIC, record);
        sent.push({ sent: record, sentMs: Math.floor(clock.monotonic()) });
      });
    }
    const other = startPostgresRival(rival, systems, seededRandom(seed ^ 0x71fa1), clock);
    while (sent.length < workload.records.length) {
      await pause(isQuiet ? 20 : random.below(8)); // statements are short: most cuts find nobody at work
      if (isQuiet) continue;
      const rows = await own.run(cut, [`p${1 + random.below(2)}`]);
      if (rows.length > 0) incidentsMs.push(clock.monotonic());
    }
    await other.stop();
    const isDrained = (): boolean =>
      systems.kafka.partitionsOf(TOPIC).every((of) => systems.kafka.log(of).length === (group.committed(of) ?? 0));
    await until(isDrained, 'everything is settled');
    for (const one of processes) one.stop();
    await until(() => processes.every((one) => !one.host.isAlive), 'both processes have stopped');
  } finally {
    for (const one of processes) one.host.die();
    for (const end of ears) end();
  }

  const commits = await readCommits(own, startMs);
  const last = commits.at(-1)?.state;
  if (last === undefined || textOf(last) !== textOf(await readState(own)))
    throw new Error('the triggers have not noted what PostgreSQL holds');
  const { tables } = systems.clickhouse;
  const analysis = linearise({
    ...{ commits, events: sent, rows: visibleRows(tables), warned: warnedOf(tables), incidentsMs, slackMs: SLACK_MS },
    mostViolations: plant === undefined ? 10 : 1,
  });
  for (const { invariant, detail } of analysis.violations) report(invariant, detail);
  checkStory({ tables, commits, events: workload.records, analysis, isQuiet }, report);
  const counts = { ...analysis.counts, ...injected, events: sent.length, commits: commits.length - 1, incidents: incidentsMs.length };
  return { seed, isQuiet, violations, counts };
}

function afterMs(delayMs: number, run: () => void): Timer {
  const timer = setTimeout(run, delayMs);
  return { cancel: () => clearTimeout(timer) };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadlineMs = Date.now() + LIMIT_MS;
  while (!holds()) {
    if (Date.now() > deadlineMs) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
    await pause(5);
  }
}

const textOf = ({ persons, mappings, personless }: State): string =>
  [
    ...[...persons].map((one) => JSON.stringify(one)),
    ...[...mappings].map((one) => JSON.stringify(one)),
    ...[...personless].map((one) => JSON.stringify(one)),
  ]
    .sort()
    .join('\n');
