/**
 * What a request costs from the socket to the acknowledgement of all in-sync replicas: Troupe's capture beside loops by hand that wait
 * for the same acknowledgement, and beside the nginx + Lua collector that `/putmessage` stands in for (capture-servers.ts), each in
 * processes of its own, all on the same broker.
 *
 *     node test/bench/capture.bench.ts [--quick] [--profile] [--shapes 'single event,batch of 50'] [--targets troupe,loop-platformatic]
 *
 * Events of about 700 bytes, 64 keep-alive connections, single events and batches of 50, plain and gzip. The servers are measured in
 * turns, ROUNDS times, after a warm-up for each shape; figures are medians, first CPU of the server's processes for each request, then
 * requests per second and latencies. Then the same at half of that rate, in an open loop. At the end each topic must hold exactly the
 * events that were answered 200, except for the collector: what it lost is in its note.
 * Not measured: TLS, several brokers, new connections, bodies of other shapes.
 */
import { fork } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { startKafka } from '../services/kafka.ts';
import { until } from '../services/surroundings.ts';
import { figuresOf, type Measured, type Sample } from './capture-figures.ts';
import type { LoadOrder, LoadReport } from './capture-load.ts';
import { startServers, type Servers, type Target, type TargetName } from './capture-servers.ts';
import { COLLECTOR_KAFKA, probeCollector } from './collector/start.ts';
import { deliver, isQuick, median } from './figures.ts';
import { messageOf } from './message-of.ts';
import { end } from './stage.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
    shapes: { type: 'string' },
    targets: { type: 'string' },
  },
});
/** Where the Troupes and the loops leave their CPU profiles; read them with profile.ts. */
const profileDir = flags.profile ? mkdtempSync(join(tmpdir(), 'troupe-bench-profile-')) : undefined;
const CONNECTIONS = 64;
const ROUNDS = isQuick ? 1 : 3;
const LINGER_MS = 2;
const WARM_UP_SECONDS = isQuick ? 0.1 : 2.5;
const ROUND_SECONDS = isQuick ? 0.2 : 2;
const HALF_LOAD_SECONDS = isQuick ? 0.2 : 3;
/** The collector flushes what waits once a second: when nothing has come for longer, nothing more will. */
const SILENCE_MS = 2_500;

interface Shape {
  readonly name: string;
  readonly batch: number;
  readonly gzip: boolean;
  readonly targets: readonly TargetName[];
}
const WAITING: readonly TargetName[] = ['troupe', 'loop-platformatic', 'troupe-kafkajs', 'loop-kafkajs'];
const SHAPES: readonly Shape[] = [
  {
    name: 'single event',
    batch: 1,
    gzip: false,
    targets: [...WAITING, 'putmessage', 'putmessage-early', 'collector-early', 'collector-waiting'],
  },
  { name: 'single event, gzip', batch: 1, gzip: true, targets: WAITING },
  { name: 'batch of 50', batch: 50, gzip: false, targets: [...WAITING, 'collector-each'] },
  { name: 'batch of 50, gzip', batch: 50, gzip: true, targets: WAITING },
];
/** Whose latency at half load is measured. */
const AT_HALF_LOAD: ReadonlySet<TargetName> = new Set(['troupe', 'loop-platformatic', 'putmessage', 'putmessage-early', 'collector-early']);

const collectorMissing = await probeCollector().then(
  () => undefined,
  (error: Error) => error.message,
);
const shapes = chosenShapes();
const wanted = new Set(shapes.flatMap(({ targets }) => targets));
if (collectorMissing !== undefined) console.log(`  Without the collector: ${collectorMissing}`);

const kafka = await startKafka(collectorMissing === undefined ? { version: COLLECTOR_KAFKA } : {});
const brokers = kafka.brokers();
const admin = createKafkaAdmin({ connection: { brokers, clientId: 'bench' }, clock: systemClock });
const load = fork(join(import.meta.dirname, 'capture-load.ts'), { stdio: 'inherit' });
/** Events that each target answered 200, and those that its topic held when last looked at. */
const counts = new Map<Target, { answered: number; held: number }>();
let servers: Servers | undefined;
try {
  servers = await startServers({ brokers, admin, wanted, lingerMs: LINGER_MS, profileDir });
  const measured: Measured[] = [];
  for (const shape of shapes) measured.push(await measureShape(shape, servers.targets));
  const lost = new Map<TargetName, string>();
  for (const [{ name, topic, mayLose }, { answered }] of counts) {
    const held = await heldBy(topic);
    if (mayLose)
      lost.set(name, `${(answered - held).toLocaleString('en')} of ${answered.toLocaleString('en')} answered events never came to Kafka`);
    else if (held !== answered) throw new Error(`${name}: ${answered} events were answered 200, the topic holds ${held}`);
  }
  await servers.check();
  await deliver(figuresOf(measured, lost));
} finally {
  await Promise.all([end(load), servers?.end()]);
  await admin.close();
  await kafka.stop();
}
if (profileDir !== undefined) console.log(`CPU profiles in ${profileDir}`);
process.exit(0);

function chosenShapes(): readonly Shape[] {
  const names = flags.shapes?.split(',').map((name) => name.trim());
  const targets = flags.targets?.split(',');
  return SHAPES.filter(({ name }) => names === undefined || names.includes(name)).map((shape) => ({
    ...shape,
    targets: shape.targets.filter(
      (name) => (targets === undefined || targets.includes(name)) && (collectorMissing === undefined || !name.startsWith('collector')),
    ),
  }));
}

async function measureShape(shape: Shape, all: readonly Target[]): Promise<Measured> {
  const targets = all.filter(({ name }) => shape.targets.includes(name));
  const samples = new Map<TargetName, Sample[]>(targets.map(({ name }) => [name, []]));
  const halfLoad = new Map<TargetName, Sample>();
  for (const target of targets) await measure(target, shape, { seconds: WARM_UP_SECONDS });
  for (let round = 0; round < ROUNDS; round++) {
    const turn = round % targets.length;
    for (const target of [...targets.slice(turn), ...targets.slice(0, turn)]) {
      samples.get(target.name)?.push(await measure(target, shape, { seconds: ROUND_SECONDS }));
    }
  }
  for (const target of targets.filter(({ name }) => AT_HALF_LOAD.has(name))) {
    const rates = samples.get(target.name)?.map(({ requestsPerSecond }) => requestsPerSecond) ?? [];
    halfLoad.set(target.name, await measure(target, shape, { seconds: HALF_LOAD_SECONDS, requestsPerSecond: median(rates) / 2 }));
  }
  return { shape: shape.name, batch: shape.batch, samples, halfLoad };
}

async function measure(target: Target, shape: Shape, pace: Pick<LoadOrder, 'seconds' | 'requestsPerSecond'>): Promise<Sample> {
  const { port, paths, headers } = target;
  const { batch, gzip } = shape;
  const before = target.cpuUs();
  const path = batch === 1 ? paths.one : paths.many;
  load.send({ port, path, headers, batch, gzip, connections: CONNECTIONS, ...pace } satisfies LoadOrder);
  const report = await messageOf<LoadReport>(load);
  const count = counts.get(target) ?? { answered: 0, held: 0 };
  count.answered += report.requests * batch;
  counts.set(target, count);
  const heldBefore = count.held;
  count.held = await settled(target, count.answered);
  return {
    ...report,
    cpuUs: (target.cpuUs() - before) / report.requests,
    eventCpuUs: (target.cpuUs() - before) / (count.held - heldBefore),
    requestsPerSecond: report.requests / report.seconds,
  };
}

/** Resolves to what the topic holds when that is what was answered, or when no more comes. */
async function settled({ name, topic, mayLose }: Target, answered: number): Promise<number> {
  let held = -1;
  let sinceMs = performance.now();
  await until(
    async () => {
      const now = await heldBy(topic);
      if (now !== held) sinceMs = performance.now();
      held = now;
      return held === answered || (mayLose && performance.now() - sinceMs > SILENCE_MS);
    },
    `${name}: what was answered 200 is in Kafka`,
    60_000,
  );
  return held;
}

async function heldBy(topic: string): Promise<number> {
  return (await admin.endOffsets(topic)).reduce((sum, { offset }) => sum + offset, 0);
}
