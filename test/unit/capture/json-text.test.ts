import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readJson } from '../../../src/capture/json-text.ts';
import { MAX_DEPTH } from '../../../src/domain/json.ts';

const written = (text: string): string => {
  const read = readJson(text);
  return read.ok ? JSON.stringify(read.value) : read.answer.body;
};

test('whatever JSON.stringify writes is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(written(text)).toBe(JSON.stringify(JSON.parse(text)));
    }),
  );
});

test.for([
  '12345678901234567890',
  '-9007199254740993',
  '{"id":123456789012345678901234567890,"s":"12345678901234567890\\"1234567890123456","n":[1,9007199254740993]}',
])('an integer that no double holds stays as it is written: %s', (text) => {
  expect(written(text)).toBe(text);
});

test('what a double holds is read as one, however it is written', () => {
  expect(readJson('[9007199254740992.0, 1e20, 0.12345678901234567890, 1E+2, 5e-324]')).toEqual({
    ok: true,
    value: [9007199254740992, 1e20, 0.12345678901234568, 100, 5e-324],
  });
});

test.for(['1e400', '{"a":[-1E+999]}', `[${'9'.repeat(400)}]`])('a number beyond a double is refused, not made null: %s', (text) => {
  expect(written(text)).toBe('failed to parse request: number out of range');
});

test('nesting is read to its limit and refused beyond it; brackets in strings do not nest', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  expect(written(nested(MAX_DEPTH))).toBe(nested(MAX_DEPTH));
  expect(written(nested(MAX_DEPTH + 1))).toBe('failed to parse request: recursion limit exceeded');
  const flat = JSON.stringify(['"[\\'.repeat(MAX_DEPTH + 1)]);
  expect(written(flat)).toBe(flat);
});

test.for(['{bad', '{"a":1}x', 'NaN', '"open', '"open\\"', '{"a":1e}', '[1,]', ''])(
  'no JSON is refused in the words of the parser: %s',
  (text) => {
    expect(written(text)).toMatch(/^failed to parse request: /);
  },
);

test('of a key that is there twice the last value counts, and __proto__ is a key', () => {
  expect(written('{"a":1,"a":2,"__proto__":{"x":1}}')).toBe('{"a":2,"__proto__":{"x":1}}');
  expect(Object.getPrototypeOf((readJson('{"__proto__":{"x":1}}') as { value: object }).value)).toBe(Object.prototype);
});
