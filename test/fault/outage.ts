/**
 * Every server away for a while, one after the other, under load: `node test/fault/outage.ts --seconds 30 [--seed S]
 * [--servers kafka,postgres,clickhouse,redis]`. An outage must show as lag, not as memory and not as dead letters, and end by itself.
 */
import { parseArgs } from 'node:util';
import { seedTeam } from '../../src/postgres/seed.ts';
import { drained, progressOf, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';
import { startLoad } from './load.ts';
import { describeVerdict, isClean, judge, type Verdict } from './verdict.ts';

export type Server = 'kafka' | 'postgres' | 'clickhouse' | 'redis';
export const SERVERS: readonly Server[] = ['kafka', 'postgres', 'clickhouse', 'redis'];

export interface OutageOptions {
  readonly servers: readonly Server[];
  readonly outageMs: number;
  readonly seed: number;
  readonly eventsPerSecond?: number;
  readonly print: (line: string) => void;
}

/** What one outage looked like from outside. */
export interface Outage {
  readonly server: Server;
  /** Records in Kafka and not committed when the server came back; undefined when Kafka itself was away. */
  readonly lagCount: number | undefined;
  readonly recoveredMs: number;
  /** Largest resident memory seen until then, since the start. */
  readonly peakRssBytes: number;
  /** Whether `/_health` said yes at the end of the outage: no means that an orchestrator would have restarted the process. */
  readonly wasHealthy: boolean;
}

export interface OutageResult {
  readonly outages: readonly Outage[];
  readonly verdict: Verdict;
  readonly deadLetters: number;
  /** Memory before the first outage. */
  readonly rssBytes: number;
  readonly account: { readonly read: number; readonly ended: number; readonly inFlight: number };
}

const RECOVERY_LIMIT_MS = 60_000;
const RSS_EVERY_MS = 200;

export async function runOutages(options: OutageOptions): Promise<OutageResult> {
  const { servers, outageMs, seed, print } = options;
  const surroundings = await startSurroundings();
  let troupe: TroupeProcess | undefined;
  try {
    const token = 'phc_outage';
    const team = await seedTeam(surroundings.sql, { token });
    const process = (troupe = await startTroupe({ env: surroundings.env }));
    const load = startLoad({
      producer: surroundings.producer,
      topic: TOPIC,
      token,
      seed,
      eventsPerSecond: options.eventsPerSecond ?? 400,
      userCount: 200,
    });
    await committed(surroundings, 1_000);
    const rssBytes = process.rssBytes();
    let peakRssBytes = rssBytes;
    const watch = setInterval(() => (peakRssBytes = Math.max(peakRssBytes, process.rssBytes())), RSS_EVERY_MS);
    const outages: Outage[] = [];
    try {
      for (const server of servers) {
        const back = await takeAway(surroundings, server);
        await new Promise((resolve) => setTimeout(resolve, outageMs));
        const wasHealthy = (await fetch(`${process.urls.operations}/_health`)).ok;
        const lagCount = server === 'kafka' ? undefined : await lagOf(surroundings);
        await back();
        const backAt = performance.now();
        await caughtUp(surroundings);
        outages.push({ server, lagCount, recoveredMs: Math.round(performance.now() - backAt), peakRssBytes, wasHealthy });
        print(`${server} away for ${outageMs} ms: ${JSON.stringify(outages.at(-1))}`);
      }
    } finally {
      clearInterval(watch);
    }
    await load.stop();
    await drained(surroundings, RECOVERY_LIMIT_MS);
    const [read, outcomes, alreadyStored, abandoned, inFlight] = await Promise.all(
      ['records_read_total', 'outcome_total', 'records_already_stored_total', 'records_abandoned_total', 'in_flight'].map((name) =>
        process.metric(`troupe_${name}`),
      ),
    );
    const verdict = await judge(surroundings, load, team);
    const letters = await process.metric('troupe_outcome_total', 'outcome="dead-lettered"');
    if (!isClean(verdict)) print(process.output().slice(-6_000));
    return {
      outages,
      verdict,
      deadLetters: Number.isNaN(letters) ? 0 : letters,
      rssBytes,
      account: { read: read ?? 0, ended: (outcomes ?? 0) + (alreadyStored ?? 0) + (abandoned ?? 0), inFlight: inFlight ?? 0 },
    };
  } catch (error) {
    print(troupe?.output().slice(-6_000) ?? 'Troupe was not started');
    throw error;
  } finally {
    await troupe?.kill();
    await surroundings.stop();
  }
}

/** kill -9; resolves to what brings it back. */
async function takeAway({ kafka, postgres, clickhouse, redis }: Surroundings, server: Server): Promise<() => Promise<void>> {
  switch (server) {
    case 'kafka':
      await Promise.all(kafka.nodes.map((node) => node.kill()));
      return async () => void (await Promise.all(kafka.nodes.map((node) => node.start())));
    case 'postgres':
      await postgres.kill();
      return () => postgres.start();
    case 'clickhouse':
      await clickhouse.kill();
      return () => clickhouse.restart();
    case 'redis':
      await redis.kill();
      return () => redis.start();
  }
}

/** New records arrive, and nearly all of them are committed. */
async function caughtUp(surroundings: Surroundings): Promise<void> {
  let from: number | undefined;
  await until(
    async () => {
      const { end, committed: at } = await progressOf(surroundings);
      from ??= end;
      return end >= from + 400 && end - at < 400;
    },
    'the lag is worked off',
    RECOVERY_LIMIT_MS,
  );
}

async function lagOf(surroundings: Surroundings): Promise<number> {
  const { end, committed: at } = await progressOf(surroundings);
  return end - at;
}

function committed(surroundings: Surroundings, count: number): Promise<void> {
  return until(async () => (await progressOf(surroundings)).committed >= count, `${count} records are committed`, RECOVERY_LIMIT_MS);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '30' },
      seed: { type: 'string' },
      servers: { type: 'string', default: SERVERS.join(',') },
      rate: { type: 'string', default: '400' },
    },
  });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  console.log(`seed ${seed}`);
  const { verdict, deadLetters, rssBytes } = await runOutages({
    servers: SERVERS.filter((server) => values.servers.split(',').includes(server)),
    outageMs: Number(values.seconds) * 1_000,
    seed,
    eventsPerSecond: Number(values.rate),
    print: (line) => console.log(line),
  });
  for (const example of verdict.examples) console.log(`  ${example}`);
  console.log(
    `seed ${seed}: ${describeVerdict(verdict)}, dead letters ${deadLetters}, memory before ${Math.round(rssBytes / 2 ** 20)} MiB`,
  );
  process.exit(isClean(verdict) && deadLetters === 0 ? 0 : 1);
}
