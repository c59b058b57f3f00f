import { describe, expect, it } from 'vitest';
import { readSource } from '../../../src/sandbox/source.ts';
import { readAnswer } from '../../../src/sandbox/answer.ts';

const found = (files: Record<string, string>) => readSource('my plugin', files);

describe('the source of a plugin (V-3)', () => {
  it('is the main of plugin.json, else index.js, else index.ts', () => {
    const files = { 'a.js': '1', 'index.js': '2', 'index.ts': '3' };
    expect(found({ ...files, 'plugin.json': '{"main":"a.js"}' })).toMatchObject({ type: 'found', file: 'a.js' });
    expect(found({ ...files, 'plugin.json': '{"main":"absent.js"}' })).toMatchObject({ file: 'index.js' });
    expect(found({ ...files, 'plugin.json': '{"main":7}' })).toMatchObject({ file: 'index.js' });
    expect(found({ 'index.ts': '3' })).toMatchObject({ file: 'index.ts' });
  });
  it('is never a name that only objects have', () => {
    expect(found({ 'plugin.json': '{"main":"constructor"}' })).toEqual({
      type: 'unusable',
      message: 'Could not load source code for my plugin. Tried: constructor, index.js, index.ts',
    });
  });
  it('an empty file counts as none: the database holds empty files for unused names', () => {
    expect(found({ 'plugin.json': '', 'index.js': '', 'index.ts': 'let a: 1' })).toMatchObject({ file: 'index.ts' });
  });
  it('is JavaScript afterwards, plain JavaScript unharmed', () => {
    expect(found({ 'index.ts': 'enum E { A } const x = <T,>(a: T): T => a as T' })).toMatchObject({
      code: expect.not.stringMatching(/enum|as T/) as unknown,
    });
    expect(found({ 'index.js': 'exports.a = (b) => b ?? {}' })).toMatchObject({ code: expect.stringContaining('b ?? {}') as unknown });
  });
  it('what does not parse is refused by file name', () => {
    expect(found({ 'index.ts': 'let let let' })).toMatchObject({
      type: 'unusable',
      message: expect.stringMatching(/^index\.ts: /) as unknown,
    });
  });
});

describe('an answer from the sandbox', () => {
  const outline = (...results: unknown[]) => JSON.stringify({ results, console: [], consoleLost: 0 });
  const whole = { uuid: 'u', event: 'e', distinct_id: 'd', team_id: 1, properties: {} };
  it('is believed only as far as it was checked', () => {
    const { results } = readAnswer(
      outline({ type: 'event', event: whole }, { type: 'event', event: { ...whole, event: null } }, { type: 'dropped', event: 1 }),
      3,
    );
    expect(results).toEqual([
      { type: 'event', event: whole },
      { type: 'failed', message: 'the plugin returned something that is no event', event: undefined },
      { type: 'dropped' },
    ]);
  });
  it('a numeric distinct_id becomes text, missing properties become none', () => {
    const { results } = readAnswer(outline({ type: 'event', event: { ...whole, distinct_id: 7, properties: undefined } }), 1);
    expect(results).toEqual([{ type: 'event', event: { ...whole, distinct_id: '7', properties: {} } }]);
  });
  it('with another number of results than events, or of another kind, is a breach', () => {
    expect(() => readAnswer(outline(), 1)).toThrow();
    expect(() => readAnswer(outline({ type: 'made up' }), 1)).toThrow();
    expect(() => readAnswer('{}', 0)).toThrow();
  });
});
