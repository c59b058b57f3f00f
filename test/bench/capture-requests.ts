import { gzipSync } from 'node:zlib';

/** What capture.bench.ts sends: one shape of body, to one path. */
export interface RequestShape {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Events of a request: 1 is the event itself, more is `{api_key, batch}`. */
  readonly batch: number;
  readonly gzip: boolean;
}

/** Events in the different requests that are made before a loop begins, and used in turns. */
const EVENTS = 2_500;
const LEAST = 50;

/** Whole HTTP requests, each with other events. */
export function requestsOf(shape: RequestShape): readonly Buffer[] {
  return Array.from({ length: Math.max(LEAST, EVENTS / shape.batch) }, (_, index) => requestOf(index, shape));
}

function requestOf(index: number, { path, headers, batch, gzip }: RequestShape): Buffer {
  const api_key = 'phc_bench_capture';
  const events = Array.from({ length: batch }, (_, at) => eventOf(index * batch + at));
  const json = Buffer.from(JSON.stringify(batch === 1 ? { ...events[0], api_key } : { api_key, batch: events }));
  const body = gzip ? gzipSync(json) : json;
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
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
