import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { anonymousAddress } from '../../../../src/capture/guards/address.ts';
import { DETECTORS, maskText, type Detector } from '../../../../src/capture/guards/detectors.ts';
import { createMask, nothingMasked, type MaskingSettings } from '../../../../src/capture/guards/mask.ts';
import { readJson } from '../../../../src/capture/json-text.ts';
import { MASK_DETECTORS } from '../../../../src/config/guard-rules.ts';
import { loadConfig } from '../../../../src/config/load.ts';
import type { Json } from '../../../../src/domain/event.ts';
import { guardsOf } from '../../../../src/start/capture-guards.ts';
import { facts, fakeProducer, serving, v1Request } from '../kit.ts';

/** spec/capture.md 16.1, row 32: masking, and addresses. */
const OFF: MaskingSettings = { remove: [], replace: [], detect: [] };

function maskedJson(settings: Partial<MaskingSettings>, text: string): { readonly text: string; readonly counts: object } {
  const read = readJson(text);
  if (!read.ok) throw new Error(read.answer.body);
  const counts = nothingMasked();
  return { text: JSON.stringify(createMask({ ...OFF, ...settings })(read.value as Json, counts)), counts };
}

describe('patterns of properties', () => {
  test.each<[pattern: string, before: string, after: string]>([
    ['password', '{"a":1,"password":"x","b":{"password":[1],"c":2}}', '{"a":1,"b":{"c":2}}'],
    ['PassWord', '{"password":1,"PASSWORD":2,"passwords":3}', '{"passwords":3}'],
    ['*_token', '{"auth_token":1,"_token":2,"token_":3,"a":{"B_Token":4}}', '{"token_":3,"a":{}}'],
    ['a*b*c', '{"abc":1,"a-b-c":2,"acb":3,"ab":4,"abcbc":5}', '{"acb":3,"ab":4}'],
    ['*', '{"a":1,"b":{"c":2}}', '{}'],
    ['a*bc*cd', '{"abcd":1,"abccd":2,"a-bc-cd":3}', '{"abcd":1}'],
    ['aa*aa', '{"aaa":1,"aaaa":2,"aabaa":3}', '{"aaa":1}'],
    [
      'address.street',
      '{"address":{"street":"x","city":"y"},"home":{"address":{"street":"z"}}}',
      '{"address":{"city":"y"},"home":{"address":{"street":"z"}}}',
    ],
    ['address.street', '{"address.street":"x","street":"y"}', '{"street":"y"}'],
    [
      'user.*.email',
      '{"user":{"a":{"email":1,"name":2},"b":{"c":{"email":3}},"email":4}}',
      '{"user":{"a":{"name":2},"b":{"c":{"email":3}},"email":4}}',
    ],
    ['items.price', '{"items":[{"price":1,"name":"x"},[{"price":2}],3]}', '{"items":[{"name":"x"},[{}],3]}'],
    [
      'a.b',
      '{"a":{"b":1,"c":{"b":2}},"$set":{"a":{"b":3}},"$set_once":{"a":{"b":4}},"$group_set":{"a":{"b":5}}}',
      '{"a":{"c":{"b":2}},"$set":{"a":{}},"$set_once":{"a":{}},"$group_set":{"a":{}}}',
    ],
    ['__proto__', '{"__proto__":{"x":1},"a":1}', '{"a":1}'],
    ['constructor', '{"a":1}', '{"a":1}'],
  ])('%s takes away: %s → %s', (pattern, before, after) => {
    expect(maskedJson({ remove: [pattern] }, before).text).toBe(after);
  });

  test('replaced is what is not removed; each is counted', () => {
    const { text, counts } = maskedJson({ remove: ['a'], replace: ['a', 'b*'] }, '{"a":1,"b":{"deep":true},"bee":null,"c":3}');
    expect(text).toBe('{"b":"***","bee":"***","c":3}');
    expect(counts).toEqual({ removed: 1, replaced: 2 });
  });

  test('ids at the top are never masked, the same names further down are', () => {
    const ids =
      '"token":"t","distinct_id":"d@x.org","$anon_distinct_id":"a","alias":"b","$groups":{"org":"x@y.org"},"$group_type":"o","$group_key":"k@x.org"';
    const before = `{${ids},"$set":{"alias":"c"},"inner":{"token":"t"}}`;
    expect(maskedJson({ remove: ['*'], detect: ['emails'] }, before).text).toBe(`{${ids}}`);
    expect(maskedJson({ replace: ['token'] }, before).text).toBe(`{${ids},"$set":{"alias":"c"},"inner":{"token":"***"}}`);
  });

  test('M1: order, long numbers, __proto__ and empty things stay as they are beside what is masked', () => {
    const before =
      '{"z":123456789012345678901234567890,"10":1,"secret":1,"__proto__":{"n":0.1,"secret":2},"e":[{},[],"",null],"a":-0.5e-7}';
    const after =
      '{"10":1,"z":123456789012345678901234567890,"secret":"***","__proto__":{"n":0.1,"secret":"***"},"e":[{},[],"",null],"a":-5e-8}';
    expect(maskedJson({ replace: ['secret'] }, before).text).toBe(after);
  });

  test('M1: without a finding it is the same object', () => {
    const mask = createMask({ remove: ['nobody_has_*'], replace: ['no.body'], detect: DETECTORS });
    fc.assert(
      fc.property(fc.object({ values: [fc.boolean(), fc.integer({ max: 1e12 }), fc.constant('text')] }), (object) => {
        expect(mask(object, nothingMasked())).toBe(object);
      }),
    );
  });

  test('M2: what is given is not changed', () => {
    fc.assert(
      fc.property(fc.object({ key: fc.constantFrom('a', 'b', 'c', '__proto__'), maxDepth: 4 }), (object) => {
        const before = JSON.stringify(object);
        const masked = createMask({ remove: ['a'], replace: ['c.b', 'b.*'], detect: DETECTORS })(object, nothingMasked());
        expect(JSON.stringify(object)).toBe(before);
        expect(JSON.stringify(masked)).not.toContain('"a":');
      }),
    );
  });

  test('500 levels are walked', () => {
    const deep = `${'{"a":'.repeat(499)}{"secret":1}${'}'.repeat(499)}`;
    expect(maskedJson({ replace: ['secret', 'a.b.c'] }, deep).text).toBe(deep.replace('1', '"***"'));
  });
});

describe('detectors', () => {
  test.each<[Detector, before: string, after: string]>([
    ['emails', 'write to ann.lee+x@shop.example.org, please', 'write to ***, please'],
    ['emails', 'https://x.org/?mail=ann%40x.org&b=1', 'https://x.org/?mail=***&b=1'],
    ['emails', 'a@b.co c@d.eu', '*** ***'],
    ['emails', 'jürgen@müller.de', '***'],
    ['emails', '@ann and bob@localhost and c @ d.eu and @@', '@ann and bob@localhost and c @ d.eu and @@'],
    ['emails', `${'a'.repeat(70)}@x.org`, `${'a'.repeat(6)}***`],
    ['cards', 'card 4111 1111 1111 1111 12/27', 'card *** 12/27'],
    ['cards', '5555-5555-5555-4444', '***'],
    ['cards', 'x=378282246310005&y', 'x=***&y'],
    ['cards', '3782 822463 10005', '***'],
    ['cards', 'no 33 4111 1111 1111 1111', 'no 33 ***'],
    ['cards', '4111 1111 1111 1112 has a wrong check digit', '4111 1111 1111 1112 has a wrong check digit'],
    ['cards', 'at 1732217000000 and 0.4111111111111111', 'at 1732217000000 and 0.4111111111111111'],
    ['cards', '41111111111111111111', '41111111111111111111'],
    ['cards', 'a4111111111111111b is hexadecimal', 'a4111111111111111b is hexadecimal'],
    ['ipv4', 'from 203.0.113.7:8080, by 10.0.0.1', 'from ***:8080, by ***'],
    ['ipv4', 'http://192.0.2.1/x', 'http://***/x'],
    ['ipv4', 'Chrome/120.0.0.0 and 1.2.3 and 1.2.3.4.5 and 256.1.1.1', 'Chrome/120.0.0.0 and 1.2.3 and 1.2.3.4.5 and 256.1.1.1'],
  ])('%s: %s → %s', (detector, before, after) => {
    expect(maskText(before, [detector], {})).toBe(after);
  });

  test('cards are found among numbers too, also among those that no double holds', () => {
    const { text, counts } = maskedJson(
      { detect: ['cards'] },
      '{"a":4111111111111111,"b":6011000000000001231,"c":4111111111111112,"d":[4222222222222],"e":6011000000000001232}',
    );
    expect(text).toBe('{"a":"***","b":"***","c":4111111111111112,"d":["***"],"e":6011000000000001232}');
    expect(counts).toMatchObject({ cards: 3 });
  });

  test.each([
    ['no @', 'a'.repeat(2_000_000)],
    ['an @ at the end', `${'a'.repeat(2_000_000)}@`],
    ['@ after @', '@'.repeat(2_000_000)],
    ['a@a@a', 'a@'.repeat(1_000_000)],
    ['long domains', `@${'a'.repeat(62)}`.repeat(30_000)],
    ['digits', '4'.repeat(2_000_000)],
    ['digits and blanks', '4 '.repeat(1_000_000)],
    ['fours', '4444 '.repeat(400_000)],
    ['dots', '1.'.repeat(1_000_000)],
    ['keys of stars', '%40'.repeat(600_000)],
  ])('two million letters of %s take no longer than their length asks for', (_, text) => {
    const startedAt = performance.now();
    maskText(text, DETECTORS, {});
    const key = JSON.stringify({ [text]: 1 });
    maskedJson({ remove: ['*a*a*b', '*.*.*4*'] }, key);
    expect(performance.now() - startedAt).toBeLessThan(4_000);
  });
});

describe('addresses', () => {
  test.each([
    ['203.0.113.77', '203.0.113.0'],
    [' 203.0.113.77 ', '203.0.113.0'],
    ['2001:db8:85a3:8d3:1319:8a2e:370:7348', '2001:db8:85a3::'],
    ['2001:0db8:0000:0042::1', '2001:db8::'],
    ['2001:db8::1', '2001:db8::'],
    ['2001::1:2:3:4:5', '2001::'],
    ['::1', '::'],
    ['fe80::1%eth0', 'fe80::'],
    ['::ffff:203.0.113.77', '::ffff:203.0.113.0'],
    ['1:2:3:4:5:6:7::', '1:2:3::'],
    ['203.0.113.77:80', undefined],
    ['unknown', undefined],
    ['', undefined],
  ])('%s is %s without its person', (address, network) => {
    expect(anonymousAddress(address)).toBe(network);
  });
});

describe('masking in capture', () => {
  async function capture(env: Readonly<Record<string, string>>) {
    const producer = fakeProducer();
    const served = await serving(producer, { guards: guardsOf(loadConfig(env).config) });
    return { ...served, producer };
  }
  const headers = { 'X-Forwarded-For': '203.0.113.77' };

  test('properties, $set and $set_once of every event of a batch; what becomes of them is counted', async () => {
    const masked = facts('capture-properties-masked');
    const { ask, producer } = await capture({
      TROUPE_CAPTURE_REMOVE_PROPERTIES: 'password, address.street',
      TROUPE_CAPTURE_MASK_PROPERTIES: '*_name',
      TROUPE_CAPTURE_MASK_DETECT: 'emails,cards',
    });
    const event = {
      event: 'a',
      distinct_id: 'ann@x.org',
      properties: { password: 'x', $current_url: 'https://x/?m=a@b.co', $set: { last_name: 'Lee', n: 1 } },
      $set: { email: 'ann@x.org', address: { street: 's', city: 'c' } },
      $set_once: { first_name: 'Ann' },
    };
    await ask('/batch', { body: JSON.stringify({ api_key: 'phc_x', batch: [event, { event: 'b', distinct_id: 'u2' }] }) });
    expect(producer.produced.map(({ key, data }) => [key, data])).toEqual([
      [
        'phc_x:ann@x.org',
        expect.objectContaining({
          distinct_id: 'ann@x.org',
          properties: { $current_url: 'https://x/?m=***', $set: { last_name: '***', n: 1 } },
          $set: { email: '***', address: { city: 'c' } },
          $set_once: { first_name: '***' },
        }),
      ],
      ['phc_x:u2', expect.objectContaining({ properties: {} })],
    ]);
    expect(masked).toEqual([
      { how: 'removed', count: 2 },
      { how: 'replaced', count: 2 },
      { how: 'emails', count: 2 },
    ]);
  });

  test('events of v1 are masked like those of v0', async () => {
    const { ask, producer } = await capture({ TROUPE_CAPTURE_MASK_PROPERTIES: '$lib' });
    expect((await ask('/i/v1/analytics/events', v1Request('phc_x', '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b7c'))).status).toBe(200);
    expect(producer.produced[0]?.data['properties']).toMatchObject({ $lib: '***', $lib_version: '1' });
  });

  const SNAPSHOT = {
    event: '$snapshot',
    properties: { token: 'phc_x', distinct_id: 'u1', $session_id: 's-1', $snapshot_data: [{ type: 2, password: 'a@b.co' }] },
  };
  test('recordings are not masked; their address is', async () => {
    const { ask, producer } = await capture({
      TROUPE_CAPTURE_REMOVE_PROPERTIES: 'password',
      TROUPE_CAPTURE_MASK_DETECT: 'emails',
      TROUPE_CAPTURE_CLIENT_IP: 'anonymise',
    });
    expect((await ask('/s', { headers, body: JSON.stringify(SNAPSHOT) })).status).toBe(200);
    const [recording] = producer.produced;
    expect(recording?.envelope['ip']).toBe('203.0.113.0');
    expect(recording?.data['properties']).toMatchObject({ $snapshot_items: [{ type: 2, password: 'a@b.co' }] });
  });

  test.each([
    ['keep', '203.0.113.77', { $ip: '198.51.100.9' }, { $ip: '2001:db8:1:2::3', a: 1 }],
    ['anonymise', '203.0.113.0', { $ip: '198.51.100.0' }, { $ip: '2001:db8:1::', a: 1 }],
    ['drop', '', {}, { a: 1 }],
  ])('addresses: %s', async (policy, ip, properties, set) => {
    const { ask, producer } = await capture({ TROUPE_CAPTURE_CLIENT_IP: policy });
    const given = {
      event: 'a',
      distinct_id: 'u1',
      properties: { token: 'phc_x', $ip: '198.51.100.9', $set: { $ip: '2001:db8:1:2::3', a: 1 } },
    };
    await ask('/e', { headers, body: JSON.stringify({ ...given, $set: { $ip: '2001:db8:1:2::3', a: 1 } }) });
    const [stored] = producer.produced;
    expect(stored?.envelope['ip']).toBe(ip);
    expect(stored?.data['properties']).toEqual({ token: 'phc_x', ...properties, $set: set });
    expect(stored?.data['$set']).toEqual(set);
  });

  test('the key of a cookieless event has no more of its address than its envelope', async () => {
    const { ask, producer } = await capture({ TROUPE_CAPTURE_CLIENT_IP: 'anonymise' });
    const event = {
      event: 'a',
      distinct_id: '$posthog_cookieless',
      properties: { token: 'phc_x', $cookieless_mode: true, $ip: 'nonsense' },
    };
    await ask('/e', { headers, body: JSON.stringify(event) });
    expect(producer.produced.map(({ key }) => key)).toEqual(['phc_x:203.0.113.0']);
    expect(producer.produced[0]?.data['properties']).not.toHaveProperty('$ip');
  });

  test('off unless it is set; a detector that nobody knows ends the start', () => {
    expect(guardsOf(loadConfig({}).config)).toMatchObject({ masking: undefined, addresses: undefined });
    expect(MASK_DETECTORS).toEqual(DETECTORS);
    expect(() => loadConfig({ TROUPE_CAPTURE_MASK_DETECT: 'emails,phones' })).toThrow(/TROUPE_CAPTURE_MASK_DETECT phones/);
  });
});
