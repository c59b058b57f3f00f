/**
 * One seed on fakes and virtual time: two whole processes (test/fault/simulation) share a consumer group and a person database,
 * a rival edits persons as PostHog's application does, and what the database was after each commit is recorded.
 *
 * Every second seed is quiet: calls may fail before they are applied and persons may be changed by the rival, but nobody dies and no
 * answer is lost. Then every event must take effect exactly once. In the others a replay may repeat some.
 */
import { observe } from '../../src/observe/facts.ts';
import { PostgresError, type PersonStore } from '../../src/postgres/port.ts';
import { manualClock, seededRandom } from '../kit/clock.ts';
import { createDirector } from '../fault/simulation/director.ts';
import { createNetwork, NO_TROUBLE, type Network } from '../fault/simulation/network.ts';
import { GROUP, TOPIC } from '../fault/simulation/settings.ts';
import { startProcess, STUMBLE, type Plant, type SimulatedProcess } from '../fault/simulation/simulated-process.ts';
import { createSystems } from '../fault/simulation/systems.ts';
import { createVirtualTime } from '../fault/simulation/virtual-time.ts';
import type { Analysis, Finding } from './history.ts';
import { linearise } from './linearise.ts';
import { recordFake } from './recording.ts';
import { startRival } from './rival.ts';
import { checkStory, visibleRows, warnedOf, type StoryFinding } from './story.ts';
import { createWorkload, type ModelRecord } from './workload.ts';

export interface ModelViolation {
  readonly invariant: Finding | StoryFinding | 'stuck' | 'process';
  readonly detail: string;
}
export interface ModelResult {
  readonly seed: number;
  readonly isQuiet: boolean;
  readonly violations: readonly ModelViolation[];
  readonly counts: Analysis['counts'] & {
    readonly events: number;
    readonly commits: number;
    readonly conflicts: number;
    readonly failures: number;
    readonly incidents: number;
  };
  readonly trace: readonly string[];
}
export interface ModelOptions {
  /** A bug, planted in the ports of every process. */
  readonly plant?: Plant | undefined;
  /** The first thing that is wrong is enough. */
  readonly isAnalysedInShort?: boolean;
}

const JOINED_MS = 4_000;
const LOAD_MS = 10_000;
const TROUBLE_MS = JOINED_MS + LOAD_MS + 6_000;
const PEACE_LIMIT_MS = 180_000;
/** A call may be on its way for so long before it is applied: an incident is noted when it is sent. */
const SLACK_MS = 10_000;

export async function runModelSeed(seed: number, { plant, isAnalysedInShort = false }: ModelOptions = {}): Promise<ModelResult> {
  const isQuiet = seed % 2 === 0;
  const random = seededRandom(seed);
  const clock = manualClock();
  const network = createNetwork(random, clock);
  const workload = createWorkload({
    random: seededRandom(seed ^ 0xa11ce),
    startMs: clock.now() + JOINED_MS,
    recordCount: 120 + random.below(100),
    spreadMs: LOAD_MS,
    // Where anything may be replayed, more has to be told apart.
    countedShare: isQuiet ? 0.7 : 1,
  });
  const systems = createSystems(network, workload);
  const recorder = recordFake(systems.persons, () => clock.monotonic());
  systems.persons.onApplied = () => recorder.look('troupe');
  const violations: ModelViolation[] = [];
  const report = (invariant: ModelViolation['invariant'], detail: string): void => void violations.push({ invariant, detail });
  const sent: { readonly sent: ModelRecord; readonly sentMs: number }[] = [];
  const processes: SimulatedProcess[] = [];
  const { runUntil } = createVirtualTime(clock, processes);
  const injected = { conflicts: 0, failures: 0 };
  const start = (): SimulatedProcess => {
    const started = startProcess(
      `p${processes.length + 1}`,
      network,
      systems,
      { report: (invariant, detail) => report('process', `${invariant}: ${detail}`) },
      (deps) => {
        const failing = { ...deps, persons: failingNowAndThen(deps.persons, network, injected) };
        return plant === undefined ? failing : plant(failing);
      },
    );
    processes.push(started);
    return started;
  };
  const ears = [
    observe('person-flushed', ({ conflicts }) => void (injected.conflicts += conflicts)),
    observe(
      'runtime-actor-crashed',
      ({ path, message }) => void (message.includes(STUMBLE) || report('process', `${path} crashed: ${message}`)),
    ),
  ];
  try {
    for (const record of workload.records) {
      clock.after(JOINED_MS + record.atMs, () => {
        systems.kafka.append(TOPIC, record);
        sent.push({ sent: record, sentMs: clock.monotonic() });
      });
    }
    let peace = (): void => void (network.trouble = NO_TROUBLE);
    if (isQuiet) {
      network.trouble = { ...NO_TROUBLE, slowRatio: 0.1, slowMs: 300 };
      start();
      start();
    } else {
      const director = createDirector(network, processes, systems, start);
      if (processes.length < 2) start();
      peace = () => director.makePeace();
    }
    clock.after(JOINED_MS, () => startRival(systems, seededRandom(seed ^ 0x71fa1), clock, () => recorder.look('rival')));
    await runUntil(() => clock.monotonic() >= TROUBLE_MS);
    peace();
    const isDrained = await runUntil(
      () =>
        systems.kafka.partitionsOf(TOPIC).every((of) => systems.kafka.log(of).length === (systems.kafka.group(GROUP).committed(of) ?? 0)),
      PEACE_LIMIT_MS,
    );
    if (!isDrained) report('stuck', 'not everything is settled');
    for (const one of processes) one.stop();
    if (!(await runUntil(() => processes.every((one) => !one.host.isAlive), 60_000))) report('stuck', 'a process does not stop');
  } finally {
    for (const one of processes) one.host.die();
    for (const end of ears) end();
  }

  const incidentsMs = isQuiet ? [] : incidentsOf(network);
  const { commits } = recorder;
  const { tables } = systems.clickhouse;
  const analysis = linearise({
    commits,
    events: sent,
    rows: visibleRows(tables),
    warned: warnedOf(tables),
    incidentsMs,
    slackMs: SLACK_MS,
    mostViolations: isAnalysedInShort ? 1 : 10,
  });
  for (const { invariant, detail } of analysis.violations) report(invariant, detail);
  checkStory({ tables, commits, events: workload.records, analysis, isQuiet }, report);
  return {
    seed,
    isQuiet,
    violations,
    counts: { ...analysis.counts, ...injected, events: sent.length, commits: commits.length - 1, incidents: incidentsMs.length },
    trace: network.trace.lines,
  };
}

/** Deadlocks and serialization failures: PostgreSQL has undone the statement and says so. */
export function failingNowAndThen(persons: PersonStore, network: Network, injected: { failures: number }): PersonStore {
  const failing = Object.entries(persons).map(([name, method]: [string, unknown]): [string, unknown] => [
    name,
    (...args: unknown[]) => {
      if (network.trouble !== NO_TROUBLE && network.random.next() < 0.04) {
        injected.failures++;
        const code = network.random.next() < 0.5 ? '40P01' : '40001';
        return Promise.reject(new PostgresError('unavailable', `${name}: [${code}] undone`));
      }
      return (method as (...given: unknown[]) => Promise<unknown>)(...args);
    },
  ]);
  return Object.fromEntries(failing) as unknown as PersonStore;
}

/** From the trace: after these, what was under way may come again. */
function incidentsOf({ trace }: Network): number[] {
  const isIncident = / (?:lost|lost crash-\w+|\w+ crash-\w+|dies|pauses|goes on|stops|starts|stumbles at .*)$|assigned|revoked|engine dies/;
  return trace.lines.filter((line) => isIncident.test(line)).map((line) => Number(line.slice(0, line.indexOf(' '))));
}
