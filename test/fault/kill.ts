/**
 * Real servers, real load, real kills: `node test/fault/kill.ts --rounds 20 [--seed S] [--brokers 3] [--faults troupe,rename] [--merges]
 * [--env LOG_LEVEL=debug]`.
 * Each round breaks one thing under load and mends it. At the end everything is drained and counted. Exit code 1 when an
 * event was lost or doubled, a distinct_id's order broken, or a person differs from the oracle's. See KILL.md.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { seedTeam } from '../../src/postgres/seed.ts';
import { drained, progressOf, startSurroundings, TOPIC, until } from '../services/surroundings.ts';
import { createFleet, FAULTS, type Fault, type Fleet } from './faults.ts';
import { seededRandom, startLoad } from './load.ts';
import { describeVerdict, isClean, judge, type Verdict } from './verdict.ts';

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly brokers?: number;
  /** Names of faults to choose from; the first rounds run each of them once. @defaultValue all */
  readonly faults?: readonly string[];
  readonly eventsPerSecond?: number;
  /** Let ClickHouse merge parts. Merges take rows with one key together, and would hide that they were stored twice. @defaultValue false */
  readonly merges?: boolean;
  /** More settings for the Troupe processes. */
  readonly env?: Readonly<Record<string, string>>;
  readonly print: (line: string) => void;
}

export interface KillResult {
  readonly verdict: Verdict;
  readonly skipped: readonly string[];
}

const NO_MERGES = `ALTER TABLE events MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1,
  parts_to_delay_insert = 100000, parts_to_throw_insert = 100000`;
const RECOVERY_LIMIT_MS = 60_000;

export async function runKills(options: KillOptions): Promise<KillResult> {
  const { rounds, seed, print } = options;
  const random = seededRandom(seed);
  const faults = FAULTS.filter(({ name }) => options.faults?.includes(name) ?? true);
  if (faults.length === 0) throw new Error(`there are these faults: ${FAULTS.map(({ name }) => name).join(', ')}`);
  const surroundings = await startSurroundings({ brokers: options.brokers ?? 1 });
  const fleet = createFleet({ ...surroundings.env, ...options.env });
  const skipped: string[] = [];
  try {
    const token = 'phc_kill';
    const team = await seedTeam(surroundings.sql, { token });
    if (options.merges !== true) await surroundings.rows.command(NO_MERGES);
    await fleet.start();
    const load = startLoad({
      producer: surroundings.producer,
      topic: TOPIC,
      token,
      seed,
      eventsPerSecond: options.eventsPerSecond ?? 400,
      userCount: 200,
    });
    for (let round = 1; round <= rounds; round++) {
      // Under way, and not just started: some hundred events since the last fault are stored.
      let from: number | undefined;
      await until(
        async () => {
          const { committed } = await progressOf(surroundings);
          from ??= committed;
          return committed >= from + 200;
        },
        'events are committed again',
        RECOVERY_LIMIT_MS,
      );
      await new Promise((resolve) => setTimeout(resolve, random() * 500));
      const fault = choose(faults, round, random);
      const { did, skipped: wasSkipped } = await fault.run({ surroundings, fleet, random });
      print(`${new Date().toISOString().slice(11, 23)} round ${round}: ${wasSkipped === true ? 'SKIPPED: ' : ''}${did}`);
      if (wasSkipped === true) skipped.push(did);
    }
    await load.stop();
    await drained(surroundings, RECOVERY_LIMIT_MS);
    const verdict = await judge(surroundings, load, team);
    if (!isClean(verdict)) print(`the processes' logs: ${keepOutputs(fleet, seed)}`);
    return { verdict, skipped };
  } catch (error) {
    print(`the processes' logs: ${keepOutputs(fleet, seed)}`);
    throw error;
  } finally {
    await fleet.stopAll();
    await surroundings.stop();
  }
}

/** Writes down what the processes of a failed run said, and returns where. */
function keepOutputs(fleet: Fleet, seed: number): string {
  const dir = mkdtempSync(join(tmpdir(), `troupe-kill-${seed}-`));
  for (const [i, { pid, text }] of fleet.outputs().entries()) writeFileSync(join(dir, `${i + 1}-${pid}.log`), text);
  return dir;
}

/** Each fault once, in the order of the list, then by chance: so that few rounds still see many faults. */
function choose(faults: readonly Fault[], round: number, random: () => number): Fault {
  const chosen = faults[round - 1] ?? faults[Math.floor(random() * faults.length)];
  if (chosen === undefined) throw new RangeError('no fault');
  return chosen;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '20' },
      seed: { type: 'string' },
      brokers: { type: 'string', default: '1' },
      faults: { type: 'string' },
      merges: { type: 'boolean', default: false },
      env: { type: 'string', multiple: true, default: [] },
      rate: { type: 'string', default: '400' },
    },
  });
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
  const startedMs = Date.now();
  console.log(`seed ${seed}`);
  const { verdict, skipped } = await runKills({
    rounds: Number(values.rounds),
    seed,
    brokers: Number(values.brokers),
    ...(values.faults === undefined ? {} : { faults: values.faults.split(',') }),
    eventsPerSecond: Number(values.rate),
    merges: values.merges,
    env: Object.fromEntries(values.env.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])),
    print: (line) => console.log(line),
  });
  for (const example of verdict.examples) console.log(`  ${example}`);
  const seconds = Math.round((Date.now() - startedMs) / 1_000);
  console.log(`seed ${seed}, ${values.rounds} rounds (${skipped.length} skipped), ${seconds} s: ${describeVerdict(verdict)}`);
  process.exit(isClean(verdict) ? 0 : 1);
}
