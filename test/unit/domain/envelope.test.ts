import { describe, expect, test } from 'vitest';
import { parseEnvelope } from '../../../src/domain/envelope.ts';
import type { Envelope, PluginEvent } from '../../../src/domain/event.ts';
import { parseEvent } from '../../../src/domain/parse-event.ts';
import { aValue, NOW, UUID } from './build.ts';

function envelopeOf(value: Buffer): Envelope {
  const result = parseEnvelope(value);
  if (!result.ok) throw new Error(result.detail);
  return result.envelope;
}
function eventOf(value: Buffer, teamId?: number): PluginEvent {
  const result = parseEvent(envelopeOf(value), teamId);
  if (!result.ok) throw new Error(result.detail);
  return result.event;
}

describe('parseEnvelope', () => {
  test('reads the fields of spec 1.3', () => {
    const { data, ...rest } = envelopeOf(aValue({ ip: '1.2.3.4', sent_at: '2024-05-01T11:59:59Z', site_url: 'http://x', team_id: 5 }));
    expect(JSON.parse(data)).toEqual({ event: 'click', properties: {} });
    expect(rest).toMatchObject({
      uuid: UUID,
      distinctId: 'd1',
      ip: '1.2.3.4',
      siteUrl: 'http://x',
      sentAt: '2024-05-01T11:59:59Z',
      token: 'tok',
      teamId: 5,
    });
  });

  test.each([
    ['é', 'é'],
    ['日本', '日本'],
    ['😀', '😀'],
    ['plain', 'plain'],
  ])('reads text outside ASCII (%s) as UTF-8', (sent, read) => {
    expect(envelopeOf(aValue({ distinct_id: sent })).distinctId).toBe(read);
  });

  test.each<[string, Buffer | null, string]>([
    ['null', null, 'failed_parse_message'],
    ['no JSON', Buffer.from('not json'), 'failed_parse_message'],
    ['empty', Buffer.alloc(0), 'failed_parse_message'],
    ['an array', Buffer.from('[]'), 'failed_parse_message'],
    ['the text null', Buffer.from('null'), 'failed_parse_message'],
    ['without data', aValue({ data: undefined }), 'failed_parse_message'],
    ['with data that is an object', aValue({ data: {} }), 'failed_parse_message'],
  ])('K-21: a value that is %s is refused with a reason', (_, value, reason) => {
    expect(parseEnvelope(value)).toMatchObject({ ok: false, reason, detail: expect.stringMatching(/./) as string });
  });

  test.each([
    ['a text', '1'],
    ['beyond PostgreSQL integers', 2_147_483_648],
    ['fractional', 1.5],
    ['an object', { toString: null }],
  ])('T-2: a team_id that is %s is refused where it names the team, and ignored where the token does', (_, teamId) => {
    expect(parseEnvelope(aValue({ team_id: teamId }), { trustTeamId: true })).toMatchObject({ ok: false, reason: 'failed_parse_event' });
    expect(envelopeOf(aValue({ team_id: teamId }))).toMatchObject({ teamId: undefined, token: 'tok' });
  });

  test.each([[null], [0], [undefined], [false], ['']])('a falsy team_id (%j) is no team_id', (teamId) => {
    expect(envelopeOf(aValue({ team_id: teamId })).teamId).toBeUndefined();
  });

  test.each([
    [5, '5'],
    [null, 'null'],
    [true, 'true'],
    [{}, '[object Object]'],
    [{ toString: null }, '[object Object]'],
    [[1, null, ['a', { toString: 1 }]], '1,,a,[object Object]'],
    ['a\0b', 'a\uFFFDb'],
    ['\ud83dx', '\\ud83d\\x'],
  ])('N-1: the distinct_id %j reads as %j', (sent, read) => {
    expect(envelopeOf(aValue({ distinct_id: sent })).distinctId).toBe(read);
  });

  test('K-20: a distinct_id, uuid or token that the envelope lacks is the inner one', () => {
    const inner = { distinct_id: 'inner', token: 'inner-token', uuid: UUID };
    const envelope = envelopeOf(aValue({ distinct_id: undefined, token: undefined, uuid: undefined }, inner));
    expect(envelope).toMatchObject({ distinctId: 'inner', token: 'inner-token', uuid: UUID });
    expect(envelopeOf(aValue({ uuid: null }, inner)).uuid).toBeNull();
    // A team_id that does not count is no reason to do without the token.
    expect(envelopeOf(aValue({ token: undefined, team_id: 5 }, inner)).token).toBe('inner-token');
  });

  test.each([[undefined], [null], ['yesterday'], [5], [{ toString: null }]])(
    'TS-1: a record with a now that is no time (%j) is no worse for it here: the timestamp of its event says what becomes of that',
    (now) => {
      expect(eventOf(aValue({ now })).now).toEqual(now);
    },
  );

  test('K-20: a token present as null is no token, whatever the inner object says', () => {
    expect(envelopeOf(aValue({ token: null }, { token: 'inner-token' })).token).toBeUndefined();
  });

  test.each([['a'.repeat(201)], ['a\0'], ['\ud800'], [{ toString: null }]])(
    'a token that no team can have (%j) is short and harmless',
    (token) => {
      const read = envelopeOf(aValue({ token })).token ?? '';
      expect(read).not.toBe(token);
      expect(read.length).toBeLessThan(30);
      expect(read).toMatch(/^[\x20-\x7e]+$/);
    },
  );
});

describe('parseEvent', () => {
  test('K-20: envelope fields win over inner ones, null included, and data is not among them', () => {
    const event = eventOf(
      aValue({ sent_at: null, site_url: 'outer' }, { uuid: 'inner', sent_at: '2020-01-01', site_url: 'inner', extra: 1 }),
      9,
    );
    expect(event).toMatchObject({ uuid: UUID, sent_at: null, site_url: 'outer', extra: 1, team_id: 9, distinct_id: 'd1' });
    expect(event).not.toHaveProperty('data');
  });

  test.each([[undefined], [null]])('N-2: properties %j are {}', (properties) => {
    expect(eventOf(aValue({}, { properties })).properties).toEqual({});
  });

  test.each<[string, string, string]>([
    ['no JSON', '{', 'failed_parse_message'],
    ['null', 'null', 'failed_parse_event'],
    ['a list', '[{}]', 'failed_parse_event'],
    ['a number', '1e400', 'failed_parse_event'],
    ['an event without a name', '{"properties":{}}', 'failed_parse_event'],
    ['an event with properties that are a text', '{"event":"e","properties":"x"}', 'failed_parse_event'],
    ['an event with properties that are a list', '{"event":"e","properties":[]}', 'failed_parse_event'],
    ['an event of 100,000 levels', `{"event":"e","properties":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`, 'failed_parse_event'],
    ['objects 501 deep', `{"event":"e","properties":${'{"a":'.repeat(500)}1${'}'.repeat(500)}}`, 'failed_parse_event'],
  ])('data that is %s is refused with a reason', (_, data, reason) => {
    expect(parseEvent(envelopeOf(aValue({ data })))).toMatchObject({ ok: false, reason });
  });

  test('objects 500 deep are let through', () => {
    expect(parseEvent(envelopeOf(aValue({ data: `{"event":"e","properties":${'{"a":'.repeat(499)}1${'}'.repeat(499)}}` }))).ok).toBe(true);
  });

  test('keys named __proto__, inside or outside, change no prototype', () => {
    const outer = `{"uuid":"${UUID}","distinct_id":"d","token":"t","now":"${NOW}","__proto__":{"polluted":1},"data":${JSON.stringify(
      '{"event":"e","__proto__":{"polluted":1},"properties":{"__proto__":{"polluted":1}}}',
    )}}`;
    const event = eventOf(Buffer.from(outer));
    expect(event['polluted']).toBeUndefined();
    expect(event.properties['polluted']).toBeUndefined();
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});
