/**
 * The fuzz of capture at length: node test/fault/capture-fuzz.ts --requests 100000 --seed 1
 *
 * Hostile requests (test/kit/hostile-requests.ts) and broken bytes, with every tenth request a good neighbour. F1 the process lives and states no
 * error; F2 every status is one that is named, and no 5xx at all: nothing here is slow; F3 each neighbour that was answered 200 is stored as it
 * was sent; F4 memory is flat: in the last quarter of the run as in the second. Exit code 1 when one of them does not hold.
 */
import fc from 'fast-check';
import { fork } from 'node:child_process';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { seededRandom } from '../kit/clock.ts';
import { bombs, bytes, queries, wrapped, type HostileRequest } from '../kit/hostile-requests.ts';

export type FromServer =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'neighbour'; readonly envelope: string }
  | { readonly type: 'bug'; readonly what: string }
  | { readonly type: 'memory'; readonly heapBytes: number; readonly rssBytes: number; readonly stored: number };

type Memory = Extract<FromServer, { readonly type: 'memory' }>;

export interface FuzzReport {
  readonly requests: number;
  readonly seconds: number;
  /** Requests by status; `raw` are broken bytes, whatever became of them. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly storedRecords: number;
  readonly neighbours: number;
  /** Mean after collection, in the second and in the last quarter. */
  readonly heapBytes: readonly [number, number];
  readonly rssBytes: readonly [number, number];
  /** What did not hold; empty is good. */
  readonly broken: readonly string[];
}

const NAMED = new Set([200, 204, 400, 401, 403, 404, 405, 408, 413, 415, 431]);
const CLIENTS = 8;
const SAMPLES = 40;
/** Before that memory grows because the code is being compiled: F4 is not judged. */
const WARM_REQUESTS = 20_000;
const CHUNK = 200;
const ANSWER_MS = 20_000;
const DECODED_BYTES = 2 << 20;
/** A heap of 20 MB moves by a few with what V8 has compiled and not thrown away yet. */
const SLACK_BYTES = 4 << 20;

const hostile = fc.oneof({ weight: 12, arbitrary: wrapped }, { weight: 2, arbitrary: bytes }, { weight: 3, arbitrary: queries });

export async function fuzzCapture({ requests, seed }: { readonly requests: number; readonly seed: number }): Promise<FuzzReport> {
  const child = fork(join(import.meta.dirname, 'capture-fuzz-server.ts'), { execArgv: ['--expose-gc'] });
  const broken: string[] = [];
  const complain = (what: string): void => void (broken.length < 20 && broken.push(what));
  const expected = new Map<string, string>();
  const memory: Memory[] = [];
  let sampled: (() => void) | undefined;
  const { promise: listening, resolve: listens } = Promise.withResolvers<number>();
  child.on('exit', (code, signal) => complain(`F1: the process ended (${signal ?? code})`));
  child.on('message', (message: FromServer) => {
    if (message.type === 'listening') listens(message.port);
    else if (message.type === 'bug') complain(`F1: ${message.what}`);
    else if (message.type === 'memory') {
      memory.push(message);
      sampled?.();
    } else {
      const { uuid, data } = JSON.parse(message.envelope) as { uuid: string; data: string };
      if (expected.get(uuid) === contentOf(data)) expected.delete(uuid);
      else complain(`F3: stored as ${data}`);
    }
  });
  const port = await listening;
  const sample = (): Promise<void> =>
    new Promise((resolve) => {
      sampled = resolve;
      child.send('memory');
    });

  const random = seededRandom(seed);
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const statuses: Record<string, number> = {};
  let neighbours = 0;
  const begun = performance.now();
  const explosives = bombs(DECODED_BYTES * 20);

  async function one(n: number, drawn: HostileRequest): Promise<void> {
    if (n % 10 === 0) return neighbour(n);
    if (n % 50 === 7) {
      statuses['raw'] = (statuses['raw'] ?? 0) + 1;
      return brokenBytes(port, drawn, () => random.next());
    }
    const asked = n % 400 === 3 ? explosives[Math.floor(random.next() * explosives.length)] : drawn;
    const { status, body } = await ask(port, agent, asked ?? drawn);
    statuses[status] = (statuses[status] ?? 0) + 1;
    if (!NAMED.has(status))
      complain(`F2: ${status} ${body} to ${drawn.method} ${drawn.path} ${JSON.stringify(drawn.headers)} ${drawn.body.toString('base64')}`);
  }

  async function neighbour(n: number): Promise<void> {
    const uuid = uuidOf(n);
    const event = { event: `é${n}`, distinct_id: `user ${n % 100}`, uuid, properties: { n, deep: { list: [n, '\ud83d\ude00', null] } } };
    const json = JSON.stringify({ api_key: 'phc_neighbour', ...event });
    expected.set(uuid, contentOf(json));
    const body = n % 20 === 0 ? gzipSync(json) : Buffer.from(json);
    const { status } = await ask(port, agent, { path: '/e/', method: 'POST', headers: {}, body });
    if (status !== 200) complain(`F3: a neighbour was answered ${status}`);
    neighbours++;
  }

  const every = Math.max(CHUNK, Math.ceil(requests / SAMPLES / CHUNK) * CHUNK);
  for (let from = 0; from < requests && broken.length === 0; from += CHUNK) {
    const drawn = fc.sample(hostile, { seed: seed + from, numRuns: Math.min(CHUNK, requests - from) });
    let next = 0;
    const client = async (): Promise<void> => {
      for (let n = next++; n < drawn.length; n = next++) await one(from + n, drawn[n] as HostileRequest);
    };
    await Promise.all(Array.from({ length: CLIENTS }, client)).catch((error: unknown) => complain(`F1: ${String(error)}`));
    if (from % every === 0 && broken.length === 0) await sample();
  }
  if (child.connected) await sample();
  if (expected.size > 0 && broken.length === 0) complain(`F3: ${expected.size} neighbours were answered and are not stored`);
  agent.destroy();
  child.removeAllListeners('exit');
  child.kill('SIGKILL');

  const heapBytes = quarters(memory.map((each) => each.heapBytes));
  const rssBytes = quarters(memory.map((each) => each.rssBytes));
  const isWarm = requests >= WARM_REQUESTS;
  if (isWarm && heapBytes[1] > heapBytes[0] * 1.1 + SLACK_BYTES)
    complain(`F4: the heap grew from ${heapBytes[0]} to ${heapBytes[1]} bytes`);
  if (isWarm && rssBytes[1] > rssBytes[0] * 1.15 + 4 * SLACK_BYTES) complain(`F4: memory grew from ${rssBytes[0]} to ${rssBytes[1]} bytes`);
  const seconds = (performance.now() - begun) / 1_000;
  return { requests, seconds, statuses, storedRecords: memory.at(-1)?.stored ?? 0, neighbours, heapBytes, rssBytes, broken };
}

const uuidOf = (n: number): string => `018f0000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;

/** What a neighbour said, whatever capture added around it. */
function contentOf(data: string): string {
  const { event, distinct_id, properties } = JSON.parse(data) as Record<string, unknown>;
  return JSON.stringify([event, distinct_id, properties]);
}

/** Means of the second and of the last quarter. */
function quarters(values: readonly number[]): [number, number] {
  const size = Math.max(1, Math.floor(values.length / 4));
  const mean = (some: readonly number[]): number => Math.round(some.reduce((sum, value) => sum + value, 0) / some.length);
  return [mean(values.slice(size, 2 * size)), mean(values.slice(-size))];
}

function ask(port: number, agent: Agent, { path, method, headers, body }: HostileRequest): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      port,
      host: '127.0.0.1',
      path,
      method,
      agent,
      timeout: ANSWER_MS,
      headers: { ...headers, 'Content-Length': body.length },
    };
    const request = httpRequest(options, (response) => {
      let text = '';
      response.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text.slice(0, 200) }));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    request.on('error', reject).end(body);
  });
}

/** A request whose bytes were changed anywhere, its head too. The connection may end in any way; capture must not. */
function brokenBytes(port: number, { path, method, body }: HostileRequest, chance: () => number): Promise<void> {
  const whole = Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`), body]);
  for (let hits = 1 + Math.floor(chance() * 4); hits > 0; hits--)
    whole[Math.floor(chance() * Math.min(80, whole.length))] = Math.floor(chance() * 256);
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined); // a reset is an end as well
    socket.on('close', () => resolve()).on('data', () => socket.end());
    socket.setTimeout(500, () => socket.destroy());
    if (chance() < 0.5) socket.end(whole);
    else socket.write(whole);
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { requests: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } } });
  const report = await fuzzCapture({ requests: Number(values.requests), seed: Number(values.seed) });
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.broken.length === 0 ? 0 : 1;
}
