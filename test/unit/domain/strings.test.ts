import { describe, expect, test } from 'vitest';
import { escapeLoneSurrogates, replaceNul, toJsonText, toText } from '../../../src/domain/strings.ts';
import { EMPTY_DROP_LIST, parseDropList } from '../../../src/domain/token.ts';
import { warning, WARNING_RULES } from '../../../src/domain/warnings.ts';

describe('text', () => {
  test.each([
    ['well-formed 😀', 'well-formed 😀'],
    ['\ud83d', '\\ud83d\\'],
    ['a\udc00b', 'a\\udc00\\b'],
    ['\udc00\ud83d', '\\udc00\\\\ud83d\\'],
    ['\ud83d\ud83d\ude00', '\\ud83d\\😀'],
  ])('N-21: %j is filtered to %j, and filtering again changes nothing', (text, filtered) => {
    expect(escapeLoneSurrogates(text)).toBe(filtered);
    expect(escapeLoneSurrogates(filtered)).toBe(filtered);
  });

  test('N-1: U+0000 becomes U+FFFD everywhere', () => {
    expect(replaceNul('\0a\0')).toBe('\uFFFDa\uFFFD');
  });

  test('toText and toJsonText answer for every value, cycles and nested arrays included', () => {
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    let deep: unknown = 'x';
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(toText(deep)).toBe('');
    expect(toJsonText(cycle)).toBe('[object Object]');
    expect(toJsonText(undefined)).toBe('undefined');
    expect(toText(Object.create(null))).toBe('[object Object]');
  });
});

describe('drop lists', () => {
  const list = parseDropList({ byToken: ' bad , ,worse', byTokenDistinctId: 'tok:d1,tok:d:2,all:*,all:x,7:d1,nocolon,:x' });

  test.each([
    ['B-2: a blocked token', { token: 'bad', teamId: undefined, distinctId: 'x' }, 'blocked_token'],
    ['B-2: no wildcard among blocked tokens', { token: 'other', teamId: undefined, distinctId: 'x' }, undefined],
    ['T-1: a token with this id', { token: 'tok', teamId: undefined, distinctId: 'd1' }, 'disallowed'],
    ['T-1: split at the first colon', { token: 'tok', teamId: undefined, distinctId: 'd:2' }, 'disallowed'],
    ['T-1: another id of that token', { token: 'tok', teamId: undefined, distinctId: 'd3' }, undefined],
    ['T-1: * is every id', { token: 'all', teamId: undefined, distinctId: 'whatever' }, 'disallowed'],
    ['T-1: the team id stands in for a missing token', { token: undefined, teamId: 7, distinctId: 'd1' }, 'disallowed'],
    ['T-1: but not for one that is there', { token: 'ok', teamId: 7, distinctId: 'd1' }, undefined],
    ['T-1: no key, no drop', { token: undefined, teamId: undefined, distinctId: 'd1' }, undefined],
  ])('%s', (_, record, reason) => {
    expect([list.blocks(record), list.disallows(record)]).toEqual([reason === 'blocked_token', reason === 'disallowed']);
  });

  test('entries that can match nothing are named', () => {
    expect(list.malformed).toEqual(['nocolon', ':x']);
    const record = { token: 'bad', teamId: 1, distinctId: 'x' };
    expect([EMPTY_DROP_LIST.blocks(record), EMPTY_DROP_LIST.disallows(record)]).toEqual([false, false]);
  });
});

describe('warnings', () => {
  test('W-1: the debounce key is the detail that the table names', () => {
    expect(warning('ingestion_capacity_overflow', { overflowDistinctId: 'd1' })).toMatchObject({ debounceKey: 'd1', alwaysSend: false });
    expect(warning('cannot_merge_already_identified', {})).toMatchObject({ debounceKey: '', alwaysSend: true });
    expect(Object.values(WARNING_RULES).filter((rule) => rule.alwaysSend)).toHaveLength(4);
  });

  test('details from clients are cut, whatever their type', () => {
    const { details } = warning('client_ingestion_warning', {
      message: 'x'.repeat(5_000),
      object: { a: 'x'.repeat(5_000) },
      short: { a: 1 },
    });
    expect(details).toMatchObject({ message: 'x'.repeat(1_000), short: { a: 1 } });
    expect((details['object'] as string).length).toBe(1_000);
  });
});
