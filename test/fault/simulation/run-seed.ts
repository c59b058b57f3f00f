/**
 * One seed: some processes, a load, a while of trouble, then peace until everything is settled; the invariants along the way.
 * A seed gives the same run every time (virtual-time.ts).
 */
import { observe } from '../../../src/observe/facts.ts';
import { manualClock, seededRandom } from '../../kit/clock.ts';
import { createChecks, type Checks, type Violation } from './checks.ts';
import { createDirector } from './director.ts';
import { createNetwork, type Trouble } from './network.ts';
import { startProcess, STUMBLE, type Plant, type SimulatedProcess } from './simulated-process.ts';
import { createSystems, type OutputKind, type Systems } from './systems.ts';
import { TOPIC } from './settings.ts';
import { createVirtualTime } from './virtual-time.ts';
import { createWorkload, type SentRecord } from './workload.ts';

export interface SeedOptions {
  readonly plant?: Plant | undefined;
  readonly during?: (() => () => void) | undefined;
  /** Instead of what the seed would choose. */
  readonly trouble?: Partial<Trouble> | undefined;
  /** The part of the director's acts that makes a zombie: a pause beyond the session. @defaultValue 0: as often as chance has it */
  readonly freezeRatio?: number | undefined;
  readonly keyOf?: ((record: SentRecord) => Buffer | null) | undefined;
  /** @defaultValue 'clickhouse' */
  readonly output?: OutputKind | undefined;
  /** @defaultValue 150..300 by the seed */
  readonly recordCount?: number;
}

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** Equal for equal runs. */
  readonly traceHash: string;
  readonly trace: readonly string[];
  readonly virtualMs: number;
  readonly counts: {
    readonly records: number;
    readonly rows: number;
    readonly copies: number;
    readonly crashes: number;
    readonly generations: number;
  };
}

/** Trouble lasts so long; load comes during the first part of it. */
const TROUBLE_MS = 25_000;
const LOAD_MS = 15_000;
/** In peace, everything must be settled within this. */
const PEACE_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 60_000;
const CHECK_EVERY_MS = 500;

export async function runSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const random = seededRandom(seed);
  const clock = manualClock();
  const network = createNetwork(random, clock);
  const recordCount = options.recordCount ?? 150 + random.below(150);
  const workload = createWorkload({ random: seededRandom(seed ^ 0x5eed), startMs: clock.now(), recordCount, spreadMs: LOAD_MS });
  const systems = createSystems(network, workload, options.output ?? 'clickhouse');
  const checks = createChecks(
    systems,
    () => clock.monotonic(),
    (line) => network.note(line),
  );
  const processes: SimulatedProcess[] = [];
  const { runUntil } = createVirtualTime(clock, processes, () => checks.look());
  const start = (): SimulatedProcess => {
    const started = startProcess(`p${processes.length + 1}`, network, systems, checks, options.plant);
    processes.push(started);
    return started;
  };
  const undo = options.during?.();
  const ears = listen(checks, (line) => network.note(line));
  try {
    for (const record of workload.records) {
      clock.after(record.atMs, () => {
        const { value } = record;
        checks.sent(record, systems.kafka.append(TOPIC, { key: options.keyOf === undefined ? record.key : options.keyOf(record), value }));
      });
    }
    const director = createDirector(network, processes, systems, start, options.trouble, options.freezeRatio);
    const look = (): void => {
      checks.look();
      for (const one of processes) one.check();
      clock.after(CHECK_EVERY_MS, look);
    };
    look();

    await runUntil(() => clock.monotonic() >= TROUBLE_MS);
    director.makePeace();
    const drainedInTime = await runUntil(() => checks.isDrained(), PEACE_LIMIT_MS);
    if (!drainedInTime) checks.report('stuck', `not everything is settled: ${stuckAt(systems)}`);
    for (const one of processes) one.stop();
    const stoppedInTime = await runUntil(() => processes.every((one) => !one.host.isAlive), STOP_LIMIT_MS);
    if (!stoppedInTime) checks.report('stuck', 'a process does not stop');
    if (drainedInTime) checks.atTheEnd();
  } finally {
    for (const one of processes) one.host.die();
    for (const end of ears) end();
    undo?.();
  }
  return {
    seed,
    violations: checks.violations,
    traceHash: network.trace.hash(),
    trace: network.trace.lines,
    virtualMs: Math.round(clock.monotonic()),
    counts: {
      records: recordCount,
      rows: systems.clickhouse.events().length,
      copies: systems.clickhouse.events().length - new Set(systems.clickhouse.events().map((row) => row['uuid'])).size,
      crashes: processes.length - 1,
      generations: systems.kafka.group('troupe').generation,
    },
  };
}

function stuckAt({ kafka }: Systems): string {
  return kafka
    .partitionsOf(TOPIC)
    .map((of) => `${of.partition} at ${kafka.group('troupe').committed(of) ?? 0} of ${kafka.log(of).length}`)
    .join(', ');
}

/** Crashes that the tree survives are violations all the same: every failure of an outside system has an answer here. */
function listen(checks: Checks, note: (line: string) => void): (() => void)[] {
  return [
    observe('runtime-actor-crashed', ({ path, message }) => {
      if (!message.includes(STUMBLE)) checks.report('crash', `${path}: ${message}`);
    }),
    observe('router-partition-assigned', (fact) => note(`assigned ${JSON.stringify(fact)}`)),
    observe('router-partition-revoked', (fact) => note(`revoked ${JSON.stringify(fact)}`)),
    observe('router-watermark-committed', ({ partition, offset }) => note(`committed ${partition} ${offset}`)),
    observe('outcome-settled', (fact) => note(`settled ${JSON.stringify(fact)}`)),
    observe('log-written', ({ level, message, fields }) => {
      note(`${level} ${message} ${JSON.stringify(fields, withoutStack)}`);
      if (level === 'error' && !JSON.stringify(fields).includes(STUMBLE)) checks.report('crash', `${message} ${JSON.stringify(fields)}`);
    }),
  ];
}

/** A stack ends where the run was called from, which is no part of the run. */
const withoutStack = (key: string, value: unknown): unknown =>
  key === 'error' && typeof value === 'string' ? value.split('\n')[0] : value;
