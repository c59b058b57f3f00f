/**
 * What a request costs from the socket to the acknowledgement of all in-sync replicas: Troupe's capture beside loops by
 * hand that wait for the same acknowledgement (capture-server.ts), each in a process of its own, all on the same broker.
 *
 *     node test/bench/capture.bench.ts [--quick] [--profile]
 *
 * Events of about 700 bytes, 64 keep-alive connections, single events and batches of 50, plain and gzip. The servers are
 * measured in turns, ROUNDS times, after a warm-up for each shape; figures are medians, first CPU of the server process,
 * then requests per second and latencies. At the end each topic must hold exactly the events that were answered 200.
 * Not measured: TLS, several brokers, new connections, bodies of other shapes.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { startKafka } from '../services/kafka.ts';
import type { LoadOrder, LoadReport } from './capture-load.ts';
import { ownCpuUs } from './cpu.ts';
import { deliver, isQuick, median, spread, type Figure } from './figures.ts';
import { end } from './stage.ts';

/** Where Troupe's server leaves its CPU profile; read it with profile.ts. */
const profileDir = process.argv.includes('--profile') ? mkdtempSync(join(tmpdir(), 'troupe-bench-profile-')) : undefined;
const CONNECTIONS = 64;
const ROUNDS = isQuick ? 1 : 3;
/** The loops by hand merge for as long as Troupe's producer does by default. */
const LINGER_MS = 2;
const SERVERS = ['troupe', 'kafkajs', 'platformatic'] as const;
const SHAPES = [
  { name: 'single event', batch: 1, gzip: false, requests: 12_000 },
  { name: 'single event, gzip', batch: 1, gzip: true, requests: 8_000 },
  { name: 'batch of 50', batch: 50, gzip: false, requests: 1_000 },
  { name: 'batch of 50, gzip', batch: 50, gzip: true, requests: 1_000 },
].map((shape) => (isQuick ? { ...shape, requests: shape.requests / 10 } : shape));

interface Server {
  readonly mode: (typeof SERVERS)[number];
  readonly child: ChildProcess;
  readonly port: number;
  readonly topic: string;
  acknowledged: number;
}
interface Sample extends LoadReport {
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
}

const kafka = await startKafka();
const admin = createKafkaAdmin({ connection: { brokers: kafka.brokers(), clientId: 'bench' }, clock: systemClock });
const load = fork(join(import.meta.dirname, 'capture-load.ts'), { stdio: 'inherit' });
const servers: Server[] = [];
try {
  for (const mode of SERVERS) servers.push(await startServer(mode));
  const figures: Figure[] = [];
  for (const shape of SHAPES) {
    const samples = new Map<string, Sample[]>(SERVERS.map((mode) => [mode, []]));
    for (const server of servers) await measure(server, shape);
    for (let round = 0; round < ROUNDS; round++) {
      for (let at = 0; at < servers.length; at++) {
        const server = servers[(at + round) % servers.length];
        if (server !== undefined) samples.get(server.mode)?.push(await measure(server, shape));
      }
    }
    figures.push(...figuresOf(shape.name, samples));
  }
  for (const { mode, topic, acknowledged } of servers) {
    const held = (await admin.endOffsets(topic)).reduce((sum, { offset }) => sum + offset, 0);
    if (held !== acknowledged) throw new Error(`${mode}: ${acknowledged} events were answered 200, the topic holds ${held}`);
  }
  await deliver(figures);
} finally {
  await Promise.all([load, ...servers.map(({ child }) => child)].map(end));
  await admin.close();
  await kafka.stop();
}
if (profileDir !== undefined) console.log(`CPU profile in ${profileDir}`);
process.exit(0);

async function startServer(mode: Server['mode']): Promise<Server> {
  const topic = `bench-${mode}`;
  await admin.ensureTopics([
    { topic, partitions: 4 },
    { topic: `${topic}-other`, partitions: 1 },
  ]);
  const child = fork(join(import.meta.dirname, 'capture-server.ts'), {
    stdio: 'inherit',
    execArgv: profileDir !== undefined && mode === 'troupe' ? ['--cpu-prof', `--cpu-prof-dir=${profileDir}`] : [],
    env: { ...process.env, TZ: 'UTC', MODE: mode, TOPIC: topic, KAFKA_HOSTS: kafka.brokers().join(','), LINGER_MS: String(LINGER_MS) },
  });
  const { port } = await answerOf<{ port: number }>(child);
  return { mode, child, port, topic, acknowledged: 0 };
}

async function measure(server: Server, { batch, gzip, requests }: (typeof SHAPES)[number]): Promise<Sample> {
  const before = ownCpuUs(server.child.pid ?? 0);
  load.send({ port: server.port, connections: CONNECTIONS, requests, batch, gzip } satisfies LoadOrder);
  const report = await answerOf<LoadReport>(load);
  const cpuUs = (ownCpuUs(server.child.pid ?? 0) - before) / requests;
  server.acknowledged += requests * batch;
  return { ...report, cpuUs, requestsPerSecond: requests / report.seconds };
}

function answerOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process of the benchmark ended with code ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as T);
    });
  });
}

function figuresOf(shape: string, samples: ReadonlyMap<string, readonly Sample[]>): Figure[] {
  const of = (mode: string, name: keyof Sample): number[] => (samples.get(mode) ?? []).map((sample) => sample[name]);
  const troupe = of('troupe', 'cpuUs');
  const bytes = median(of('troupe', 'bytes'));
  const ofTroupe = (name: keyof Sample): number => median(of('troupe', name));
  const besideKafkajs = (name: keyof Sample): NonNullable<Figure['beside']> => ({
    what: 'kafkajs loop',
    value: median(of('kafkajs', name)),
  });
  return [
    {
      what: `${shape}: CPU of the server`,
      value: median(troupe),
      unit: 'us/request',
      beside: besideKafkajs('cpuUs'),
      note: `${spread(troupe)}; request of ${Math.round(bytes)} bytes; platformatic loop ${median(of('platformatic', 'cpuUs')).toFixed(1)}`,
    },
    { what: `${shape}: CPU against the kafkajs loop`, value: median(troupe) / median(of('kafkajs', 'cpuUs')), unit: 'x' },
    { what: `${shape}: requests per second`, value: ofTroupe('requestsPerSecond'), unit: '/s', beside: besideKafkajs('requestsPerSecond') },
    { what: `${shape}: latency p50`, value: ofTroupe('p50Ms'), unit: 'ms', beside: besideKafkajs('p50Ms') },
    { what: `${shape}: latency p99`, value: ofTroupe('p99Ms'), unit: 'ms', beside: besideKafkajs('p99Ms') },
  ];
}
