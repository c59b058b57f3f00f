import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SigningSettings } from '../../../../src/capture/guards/signature.ts';
import { loadConfig } from '../../../../src/config/load.ts';
import { guardsOf } from '../../../../src/start/capture-guards.ts';
import { facts, fakeProducer, serving, v1Request, type Asked } from '../kit.ts';

const SECRET = 'a secret of the test';
const OTHER = 'another secret of it';
const BODY = JSON.stringify({ api_key: 'phc_x', event: 'a', distinct_id: 'u1' });

const nowS = (): number => Math.floor(Date.now() / 1000);
const digestOf = (body: string | Buffer, secret = SECRET, t = nowS()): string =>
  createHmac('sha256', secret).update(`${t}.`).update(body).digest('hex');
const headerOf = (body: string | Buffer, secret = SECRET, t = nowS()): Record<string, string> => ({
  'X-Troupe-Signature': `t=${t},v1=${digestOf(body, secret, t)}`,
});
const signed = (asked: Asked): Asked => ({ ...asked, headers: { ...asked.headers, ...headerOf(asked.body ?? '') } });

/** A capture that looks at signatures, as the settings make it. */
async function guarded(settings: Partial<SigningSettings> = {}, producer = fakeProducer()) {
  const keys = [
    { id: 'new', secret: SECRET },
    { id: 'old', secret: OTHER },
  ];
  const guards = { ...guardsOf(loadConfig({}).config), signing: { mode: 'required' as const, keys, windowMs: 300_000, ...settings } };
  const putmessage = { topics: ['main'], ack: 'durable' as const, logMessages: false };
  const served = await serving(producer, { guards, putmessage });
  return { producer, checked: facts('capture-signature-checked'), ...served };
}

describe('signatures (spec/capture.md 16.1, row 31)', () => {
  test.each<[string, () => Record<string, string>, Asked['body'], string]>([
    ['no header', () => ({}), BODY, 'absent'],
    ['no digest', () => ({ 'X-Troupe-Signature': `t=${nowS()}` }), BODY, 'malformed'],
    ['no time', () => ({ 'X-Troupe-Signature': `v1=${digestOf(BODY)}` }), BODY, 'malformed'],
    ['a time that is none', () => ({ 'X-Troupe-Signature': `t=-1,v1=${digestOf(BODY)}` }), BODY, 'malformed'],
    ['two times', () => ({ 'X-Troupe-Signature': `t=1,t=${nowS()},v1=${digestOf(BODY)}` }), BODY, 'malformed'],
    ['a digest that is cut short', () => ({ 'X-Troupe-Signature': `t=${nowS()},v1=${digestOf(BODY).slice(2)}` }), BODY, 'malformed'],
    [
      'more digests than a rotation has',
      () => ({ 'X-Troupe-Signature': `t=${nowS()}${`,v1=${digestOf(BODY)}`.repeat(5)}` }),
      BODY,
      'malformed',
    ],
    ['S2: a time before the window', () => headerOf(BODY, SECRET, nowS() - 302), BODY, 'stale'],
    ['S2: a time after the window', () => headerOf(BODY, SECRET, nowS() + 302), BODY, 'stale'],
    ['another secret', () => headerOf(BODY, 'of somebody else'), BODY, 'wrong'],
    ['another body', () => headerOf(`${BODY} `), BODY, 'wrong'],
    ['another time than was signed', () => ({ 'X-Troupe-Signature': `t=${nowS() - 9},v1=${digestOf(BODY)}` }), BODY, 'wrong'],
    ['S1: the unpacked body signed', () => headerOf(BODY), gzipSync(BODY), 'wrong'],
  ])('%s is 401, by name, and nothing is stored', async (_, header, body, outcome) => {
    const { ask, producer, checked } = await guarded();
    const answer = await ask('/e/', { headers: header(), ...(body === undefined ? {} : { body }) });
    expect([answer.status, answer.body]).toEqual([401, `request signature is not valid: ${outcome}`]);
    expect(checked).toEqual([{ outcome, keyId: undefined }]);
    expect(producer.produced).toEqual([]);
  });

  test('the digest is that of other implementations (openssl dgst -sha256 -hmac)', () => {
    expect(digestOf('{"hello":"wörld"}', SECRET, 1_790_000_000)).toBe('f2d8eb4b76749fb9e05d3cac02e4dae9c034c880cb38f49006d270f056d2b556');
  });

  test('S1: a compressed body is signed as it is sent', async () => {
    const { ask, producer } = await guarded();
    expect((await ask('/batch', signed({ body: gzipSync(BODY) }))).status).toBe(200);
    expect(producer.produced).toHaveLength(1);
  });

  test('any of the keys will do, and any of the digests; the key is told', async () => {
    const { ask, checked } = await guarded();
    const t = nowS();
    const both = { 'X-Troupe-Signature': ` t=${t}, v1=${digestOf(BODY, 'a third one', t)}, v1=${digestOf(BODY, OTHER, t)}, v2=later` };
    expect((await ask('/e', { headers: headerOf(BODY), body: BODY })).status).toBe(200);
    expect((await ask('/e', { headers: both, body: BODY })).status).toBe(200);
    expect(checked.map(({ keyId }) => keyId)).toEqual(['new', 'old']);
  });

  test('optional: without a signature it passes, with a wrong one it does not', async () => {
    const { ask, checked } = await guarded({ mode: 'optional' });
    expect((await ask('/e', { body: BODY })).status).toBe(200);
    expect((await ask('/e', { headers: headerOf('x'), body: BODY })).status).toBe(401);
    expect(checked.map(({ outcome }) => outcome)).toEqual(['absent', 'wrong']);
  });

  test('S1: a payload in the query is covered by no signature', async () => {
    const { ask, producer } = await guarded({ mode: 'optional' });
    const path = `/e?data=${encodeURIComponent(BODY)}`;
    expect((await ask(path, { method: 'GET', headers: headerOf('') })).body).toBe('request signature is not valid: uncovered');
    expect((await ask(path, { method: 'POST', headers: headerOf(BODY), body: BODY })).status).toBe(401);
    expect(producer.produced).toEqual([]);
  });

  test('the same request passes again within the window: copies are known by their uuid', async () => {
    const { ask, producer } = await guarded();
    const body = JSON.stringify({ ...(JSON.parse(BODY) as object), uuid: '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b7a' });
    const headers = headerOf(body);
    for (let times = 0; times < 2; times++) expect((await ask('/e', { headers, body })).status).toBe(200);
    expect(new Set(producer.produced.map(({ headers: { uuid } }) => uuid)).size).toBe(1);
  });

  const v1 = v1Request('phc_x', '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b7b');
  const snapshot = JSON.stringify({
    event: '$snapshot',
    properties: { token: 'phc_x', distinct_id: 'u1', $session_id: 's-1', $snapshot_data: [{ type: 2 }] },
  });
  test.each<[string, Asked]>([
    ['/batch', { body: BODY }],
    ['/i/v0/ai/batch', { body: BODY }],
    ['/i/v1/analytics/events', v1],
    ['/s', { body: snapshot }],
    ['/putmessage', { headers: { topic: 'main' }, body: 'any thing' }],
    ['/test/black_hole', { body: BODY }],
  ])('%s wants a signature, and takes one', async (path, asked) => {
    const { ask } = await guarded({}, { ...fakeProducer(), send: () => Promise.resolve() });
    const refused = await ask(path, asked);
    expect([refused.status, refused.body]).toEqual([401, expect.stringContaining('request signature is not valid: absent')]);
    if (path.includes('/v1/')) expect(JSON.parse(refused.body)).toMatchObject({ error: expect.any(String) as string });
    const taken = await ask(path, signed(asked));
    expect([taken.status, taken.body]).toEqual([200, expect.not.stringContaining('signature')]);
  });

  test.each(['/flags', '/array/phc_x/config.js', '/_readiness', '/'])('%s wants none', async (path) => {
    const { ask, checked } = await guarded();
    expect((await ask(path)).status).toBe(200);
    expect(checked).toEqual([]);
  });

  test('the example of docs/capture.md is taken', async () => {
    const { url, producer } = await guarded();
    const page = readFileSync(new URL('../../../../docs/capture.md', import.meta.url), 'utf8');
    const example = /```js\n([^]*?X-Troupe-Signature[^]*?)```/.exec(page)?.[1] ?? '';
    const dir = mkdtempSync(join(tmpdir(), 'troupe-test-example-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    writeFileSync(join(dir, 'example.mjs'), example);
    const { send } = (await import(/* @vite-ignore */ pathToFileURL(join(dir, 'example.mjs')).href)) as {
      send: (url: string, secret: string, request: unknown) => Promise<Response>;
    };
    const answer = await send(`${url}/batch/`, SECRET, { api_key: 'phc_x', batch: [{ event: 'ünï', distinct_id: 'u1' }] });
    expect(answer.status).toBe(200);
    expect(producer.produced.map(({ data }) => data['event'])).toEqual(['ünï']);
  });
});

describe('the settings of signatures', () => {
  const signing = (env: Record<string, string>) => guardsOf(loadConfig(env).config).signing;

  test('are off unless they are set', () => {
    expect(signing({})).toBeUndefined();
    const set = { TROUPE_CAPTURE_SIGNING: 'required', TROUPE_CAPTURE_SIGNING_KEYS: `2026:${SECRET}, a-b:with:colons:in:it` };
    expect(signing(set)).toEqual({
      mode: 'required',
      keys: [
        { id: '2026', secret: SECRET },
        { id: 'a-b', secret: 'with:colons:in:it' },
      ],
      windowMs: 300_000,
    });
  });

  test.each([
    ['no keys', ''],
    ['a key without an id', SECRET],
    ['a short secret', 'id:tooshort'],
    ['an id twice', `id:${SECRET},id:${OTHER}`],
    ['an id that is no label', `a b:${SECRET}`],
  ])('%s end the start, and no secret is told', (_, keys) => {
    const attempt = (): unknown => signing({ TROUPE_CAPTURE_SIGNING: 'optional', TROUPE_CAPTURE_SIGNING_KEYS: keys });
    expect(attempt).toThrow(/TROUPE_CAPTURE_SIGNING_KEYS\n.*id:secret/);
    expect(attempt).not.toThrow(/secret of|tooshort/);
  });
});
