/**
 * The load of capture.bench.ts, in a process of its own so that its CPU is in nobody's figure: a closed loop of keep-alive
 * connections over raw sockets. Each sends its next request when the last one is answered. Told by its parent what to do;
 * answers with the latencies. Any status but 200 and any broken connection is an error of the whole run.
 */
import { createConnection, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

export interface LoadOrder {
  readonly port: number;
  readonly connections: number;
  readonly requests: number;
  /** Events of a request; 1 is a single event to /i/v0/e/, more is a /batch/. */
  readonly batch: number;
  readonly gzip: boolean;
}
export interface LoadReport {
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of a request, headers included. */
  readonly bytes: number;
}

/** Different requests made before the loop begins, and used in turns. */
const VARIANTS = 500;

process.on('message', (order: LoadOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});

async function run({ port, connections, requests, batch, gzip }: LoadOrder): Promise<LoadReport> {
  const variants = Array.from({ length: batch === 1 ? VARIANTS : VARIANTS / 10 }, (_, index) => requestOf(index, batch, gzip));
  const latencies = new Float64Array(requests);
  let begun = 0;
  let ended = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve, reject) => {
          const socket: Socket = createConnection({ port, host: '127.0.0.1', noDelay: true });
          let sentMs = 0;
          let seen = '';
          const next = (): void => {
            if (begun >= requests) {
              socket.end();
              return resolve();
            }
            const request = variants[begun++ % variants.length];
            if (request === undefined) throw new Error('no request');
            sentMs = performance.now();
            socket.write(request);
          };
          socket.setEncoding('latin1');
          socket.on('connect', next);
          socket.on('error', reject);
          socket.on('close', () => reject(new Error('the server closed a connection')));
          socket.on('data', (text: string) => {
            seen += text;
            if (!isWhole(seen)) return;
            if (!seen.startsWith('HTTP/1.1 200 ')) return reject(new Error(`answered ${seen.slice(0, 300)}`));
            seen = '';
            latencies[ended++] = performance.now() - sentMs;
            next();
          });
        }),
    ),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  latencies.sort();
  const at = (share: number): number => latencies[Math.floor(share * (requests - 1))] ?? 0;
  return { seconds, p50Ms: at(0.5), p99Ms: at(0.99), bytes: variants.reduce((sum, { length }) => sum + length, 0) / variants.length };
}

/** Whether the text holds a whole answer: by its length, or to the last chunk. */
function isWhole(text: string): boolean {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd));
  return length === null ? text.endsWith('0\r\n\r\n') : text.length >= headEnd + 4 + Number(length[1]);
}

function requestOf(index: number, batch: number, gzip: boolean): Buffer {
  const api_key = 'phc_bench_capture';
  const events = Array.from({ length: batch }, (_, at) => eventOf(index * batch + at));
  const json = Buffer.from(JSON.stringify(batch === 1 ? { ...events[0], api_key } : { api_key, batch: events }));
  const body = gzip ? gzipSync(json) : json;
  const head = [
    `POST ${batch === 1 ? '/i/v0/e/' : '/batch/'} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    ...(gzip ? ['Content-Encoding: gzip'] : []),
    `Content-Length: ${body.length}`,
  ].join('\r\n');
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]);
}

/** About 700 bytes of JSON. */
function eventOf(index: number): Record<string, unknown> {
  const seed = Math.imul(index + 1, 0x9e3779b1) >>> 0;
  const hex = (salt: number): string => (Math.imul(seed ^ salt, 0x85ebca6b) >>> 0).toString(16).padStart(8, '0');
  return {
    event: '$pageview',
    distinct_id: `user-${seed % 100_000}`,
    uuid: `${hex(1)}-${hex(2).slice(4)}-7000-8000-${hex(3)}${hex(4).slice(4)}`,
    timestamp: new Date(Date.UTC(2026, 10, 21) + index).toISOString(),
    properties: {
      $lib: 'web',
      $lib_version: '1.290.0',
      $browser: 'Chrome',
      $browser_version: 126,
      $os: 'Mac OS X',
      $device_type: 'Desktop',
      $current_url: `https://shop.example/products/${seed % 977}?ref=mail`,
      $pathname: `/products/${seed % 977}`,
      $referrer: 'https://search.example/',
      $session_id: `${hex(5)}-${hex(6)}`,
      $window_id: `${hex(7)}-${hex(8)}`,
      $screen_width: 1920,
      $screen_height: 1080,
      $set: { plan: 'pro', email: `user-${seed % 100_000}@shop.example` },
      price: index % 1_000,
    },
  };
}
