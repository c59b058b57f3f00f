import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/domain/event.ts';
import { fingerprintException } from '../../../src/domain/exceptions.ts';
import { anEvent, stored } from './build.ts';

const frames = [{ function: 'f' }, { function: 'g' }];

describe('fingerprintException', () => {
  test.each<[string, Json, unknown]>([
    ['one that is there stays', { $exception_fingerprint: 'mine', $exception_type: 'T' }, 'mine'],
    ['also as a list', { $exception_fingerprint: ['mine'], $exception_type: 'T' }, ['mine']],
    ['an empty one is none', { $exception_fingerprint: '', $exception_type: 'T' }, ['T']],
    [
      'type, message, function',
      { $exception_type: 'T', $exception_message: 'm', $exception_stack_trace_raw: JSON.stringify(frames) },
      ['T', 'm', 'f'],
    ],
    ['what is missing is left out', { $exception_message: 'm' }, ['m']],
    ['the function alone', { $exception_list: [{ stacktrace: { frames } }] }, ['f']],
    [
      'the raw stack before the list',
      { $exception_stack_trace_raw: JSON.stringify([{ function: 'raw' }]), $exception_list: [{ stacktrace: { frames } }] },
      ['raw'],
    ],
    ['a stack that is no JSON is passed over', { $exception_type: 'T', $exception_stack_trace_raw: '{' }, ['T']],
    ['a stack of another form too', { $exception_type: 'T', $exception_stack_trace_raw: '{"frames":[]}' }, ['T']],
    ['an empty list too', { $exception_type: 'T', $exception_list: [] }, ['T']],
    ['a list of another form too', { $exception_type: 'T', $exception_list: [null] }, ['T']],
    ['frames without a function', { $exception_type: 'T', $exception_list: [{ stacktrace: { frames: [{}] } }] }, ['T']],
    ['nothing to make one of: none', {}, undefined],
    ['falsy parts are none', { $exception_type: '', $exception_message: null }, undefined],
  ])('X-1: %s', (_, properties, expected) => {
    const event = anEvent({ event: '$exception', properties });
    expect(fingerprintException(event)).toBe(expected !== undefined);
    expect((stored(event.properties) as Json)['$exception_fingerprint']).toEqual(expected);
  });
});
