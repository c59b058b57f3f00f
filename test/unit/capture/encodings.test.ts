import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { decompressLz64 } from '../../../src/capture/lz64.ts';
import { serveAll, type Asked } from './kit.ts';

/** spec/capture.md 2 and 3: the ways a payload is wrapped, and what a small body that claims to be a large one may cost. */
const EVENT = '{"api_key":"phc_x","event":"a","distinct_id":"u1"}';
/** EVENT, by lz-string 1.5's compressToBase64. */
const EVENT_LZ64 = 'N4IghgDglg+g1gUwJ4gFwggCwMYwB4gA0ICAbggHYAua4RIAJlAM5VQXZUxQO0CuARhABfIA';
const DECODED_BYTES = 1 << 20;
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const coded = (encoding: string, body: Buffer | string): Asked => ({ body, headers: { 'Content-Encoding': encoding } });

describe('encodings', () => {
  const { producer, ask } = serveAll({ limits: { decodedBytes: DECODED_BYTES } });

  test.for<[name: string, path: string, asked: Asked]>([
    ['gzip, announced by its header', '/e', coded('gzip', gzipSync(EVENT))],
    ['gzip, announced in capitals', '/e?compression=GZIP', { body: gzipSync(EVENT) }],
    ['gzip in the query', `/e?data=${encodeURIComponent(gzipSync(EVENT).toString('base64'))}`, {}],
    ['gzip in the query, its plus signs not escaped', `/e?data=${gzipSync(EVENT).toString('base64')}`, {}],
    ['gzip under the content type of a form', '/e', { body: gzipSync(EVENT), headers: FORM }],
    ['deflate as the standard has it', '/e', coded('deflate', deflateSync(EVENT))],
    ['deflate without the wrapping, as some clients have it', '/e', coded('deflate', deflateRawSync(EVENT))],
    ['brotli', '/e', coded('br', brotliCompressSync(EVENT))],
    ['zstd', '/e', coded('zstd', zstdCompressSync(EVENT))],
    ['zstd that nobody announced', '/e', { body: zstdCompressSync(EVENT) }],
    ['base64 as the whole body', '/e', { body: Buffer.from(EVENT.padEnd(51)).toString('base64') }],
    ['base64 behind gzip', '/e', { body: gzipSync(Buffer.from(EVENT.padEnd(51)).toString('base64')) }],
    ['12 lz64 in a form', '/e', { body: `data=${encodeURIComponent(EVENT_LZ64)}&compression=lz64`, headers: FORM }],
    [
      'lz64 in a form, announced by the query',
      '/e?compression=lz-string',
      { body: `data=${encodeURIComponent(EVENT_LZ64)}`, headers: FORM },
    ],
    ['lz64 as the body', '/e', coded('lz64', EVENT_LZ64)],
    ['lz64 in the query', `/e?compression=lz64&data=${encodeURIComponent(EVENT_LZ64)}`, {}],
    ['brotli that a proxy has unpacked', '/e', coded('br', EVENT)],
    ['an encoding nobody knows, on plain JSON', '/e', coded('rot13', EVENT)],
    ['the name of what every object inherits', '/e', coded('constructor', EVENT)],
    ['the same in the query', '/e?compression=__proto__', { body: EVENT }],
  ])('%s is read', async ([, path, asked]) => {
    expect((await ask(path, asked)).body).toBe('{"status":"Ok"}');
    expect(producer.produced).toMatchObject([{ key: 'phc_x:u1' }]);
  });

  test.for<[name: string, path: string, asked: Asked, body: string]>([
    ['zstd', '/e', coded('zstd', zstdCompressSync(EVENT).subarray(0, 20)), 'invalid ZSTD data'],
    ['brotli', '/e', coded('br', Buffer.from('nothing of the kind')), 'invalid BR data'],
    ['deflate', '/e?compression=deflate', { body: 'nothing of the kind' }, 'invalid DEFLATE data'],
    ['lz64', '/e?compression=lz64', { body: 'N4Ighg' }, 'decompress_lz64: failed decompress to UTF16'],
    ['lz64 of a lone surrogate', '/e?compression=lz64', { body: 'rwbQ' }, 'decompress_lz64: failed decompress to UTF16'],
    ['gzip of what is no UTF-8', '/e', { body: gzipSync(Buffer.from([0x7b, 0xff, 0x7d])) }, 'invalid gzip data'],
    ['a form that is none', '/e', { body: EVENT, headers: FORM }, 'expected form data in POST request payload'],
  ])('broken: %s is a 400 that says so', async ([, path, asked, body]) => {
    expect(await ask(path, asked)).toMatchObject({ status: 400, body: `failed to decode request: ${body}` });
    expect(producer.produced).toEqual([]);
  });

  const bomb = Buffer.alloc(64 << 20, 0x20);
  test.for<[name: string, body: Buffer]>([
    ['gzip', gzipSync(bomb)],
    ['deflate', deflateSync(bomb)],
    ['br', brotliCompressSync(bomb)],
    ['zstd', zstdCompressSync(bomb)],
  ])('43 a bomb of %s is a 413 within the limit: eight at once hold less than one of them unpacked', async ([encoding, body]) => {
    const before = process.memoryUsage().rss;
    const asked = await Promise.all(Array.from({ length: 8 }, () => ask('/e', coded(encoding, body))));
    expect(asked.map(({ status }) => status)).toEqual(Array(8).fill(413));
    expect(process.memoryUsage().rss - before).toBeLessThan(bomb.length);
  });

  test('43 a zstd frame that wants a window of 128 MiB is refused, whatever it holds', async () => {
    // Magic, descriptor (no content size, window byte follows), window 2^27, one raw last block of one byte.
    const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x09, 0x00, 0x00, 0x20]);
    expect(await ask('/e', { body: frame })).toMatchObject({ status: 400, body: 'failed to decode request: invalid ZSTD data' });
  });
});

describe('lz64', () => {
  test.for([
    ['JeXg3AB7AECGO38MU5UICMoDsuo97EgtHKDhpkA=', `é😀 ${'a'.repeat(46)} banana banana 中文`],
    ['Q===', ''],
  ])('%s', ([letters = '', text]) => {
    expect(decompressLz64(letters, 1_000)).toEqual({ text });
  });

  test('stops at its limit, and not one unit before', () => {
    expect(decompressLz64(EVENT_LZ64, EVENT.length)).toEqual({ text: EVENT });
    expect(decompressLz64(EVENT_LZ64, EVENT.length - 1)).toBe('too-large');
  });

  test('a text that breaks off at any letter is invalid', () => {
    for (let length = 0; length < EVENT_LZ64.length - 2; length++)
      expect(decompressLz64(EVENT_LZ64.slice(0, length), 1_000)).toBe('invalid');
  });
});
