import { createHash, createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSandbox } from '../../src/sandbox/host.ts';
import type { PluginEvent } from '../../src/domain/event.ts';
import {
  SandboxError,
  type ConsoleLine,
  type InvocationResult,
  type PluginFault,
  type PluginListener,
  type PluginSource,
  type Sandbox,
} from '../../src/sandbox/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { observe } from '../../src/observe/facts.ts';

/** The real sandbox: a child process, isolated-vm, and plugins that mean harm. */
const DEADLINE_MS = 400;

const event = (overrides: Partial<PluginEvent> = {}): PluginEvent => ({
  uuid: '01890000-0000-7000-8000-000000000001',
  event: 'pageview',
  distinct_id: 'ada',
  team_id: 2,
  now: '2026-11-21T10:00:00.000Z',
  ip: null,
  properties: { n: 1 },
  ...overrides,
});
const plugin = (pluginConfigId: number, code: string, more: Partial<PluginSource> = {}): PluginSource => ({
  pluginConfigId,
  teamId: 2,
  name: `plugin ${pluginConfigId}`,
  config: { greeting: 'hello' },
  files: { 'index.js': code },
  ...more,
});
const INNOCENT = plugin(900, 'export function processEvent(event) { event.properties.innocent = true; return event }');

let sandbox: Sandbox;
beforeAll(() => {
  // A long grace: on a busy machine the child may need a second to obey, and what is tested is that it does.
  sandbox = createSandbox({ clock: systemClock, memoryLimitMb: 32, loadTimeoutMs: 1_000, graceMs: 1_500 });
});
afterAll(() => sandbox.close());

async function run(
  code: string,
  events: readonly PluginEvent[] = [event()],
  files: Record<string, string> = { 'index.js': code },
  listener?: PluginListener,
): Promise<readonly InvocationResult[]> {
  expect(await sandbox.load(plugin(1, code, { files }), listener)).toMatchObject({ type: 'loaded' });
  return sandbox.invoke(1, events, DEADLINE_MS);
}
async function expectInnocentWorks(): Promise<void> {
  expect(await sandbox.load(INNOCENT)).toMatchObject({ type: 'loaded' });
  expect(await sandbox.invoke(900, [event()], 5_000)).toEqual([{ type: 'event', event: event({ properties: { n: 1, innocent: true } }) }]);
}

describe('what a plugin may be written as (V-3, V-12)', () => {
  const BODY = '(event, meta) { event.properties.greeting = meta.config.greeting; return event }';
  const forms: Record<string, string> = {
    'exports.processEvent': `exports.processEvent = function ${BODY}`,
    'module.exports': `module.exports = { processEvent: function ${BODY} }`,
    'a global function': `function processEvent${BODY}`,
    'export function': `export function processEvent${BODY}`,
    'export async function': `export async function processEvent${BODY}`,
    'export const': `export const processEvent = ${BODY.replace(') {', ') => {')}`,
    'an export list': `const own = ${BODY.replace(') {', ') => {')}; export { own as processEvent }`,
    'export default': `export default { async processEvent${BODY} }`,
    'exports.default': `exports.default = { processEvent${BODY} }`,
    'processEventBatch alone': `export function processEventBatch(events, meta) { return events.map((event) => { event.properties.greeting = meta.config.greeting; return event }) }`,
  };
  for (const [form, code] of Object.entries(forms))
    it(`${form} is found`, async () => {
      expect(await run(code)).toEqual([{ type: 'event', event: event({ properties: { n: 1, greeting: 'hello' } }) }]);
    });

  it('TypeScript loses its types, and the scaffold imports that are only types', async () => {
    const code = `
      import { Plugin, PluginEvent, RetryError } from '@posthog/plugin-scaffold';
      import type { PluginMeta } from '@posthog/plugin-scaffold';
      enum Kind { A = 'a' }
      interface Meta { config: { greeting: string } }
      const plugin: Plugin<Meta> = { processEvent: async (event: PluginEvent): Promise<PluginEvent> => { event.properties!.kind = Kind.A; event.properties!.retry = typeof RetryError; return event } };
      export default plugin;`;
    expect(await run('', [event()], { 'index.ts': code })).toEqual([
      { type: 'event', event: event({ properties: { n: 1, kind: 'a', retry: 'function' } }) },
    ]);
  });
  it('plugin.json names the main file', async () => {
    const files = { 'plugin.json': '{"main":"./dist/x.js"}', 'dist/x.js': 'export const processEvent = () => null', 'index.js': 'throw 1' };
    expect(await run('', [event()], files)).toEqual([{ type: 'dropped' }]);
  });
  it('the methods found are told, in a fixed order', async () => {
    const code =
      'export function onEvent() {} export function processEvent(e) { return e } export function setupPlugin() {} export const other = 1';
    expect(await sandbox.load(plugin(1, code))).toMatchObject({ type: 'loaded', methods: ['setupPlugin', 'processEvent', 'onEvent'] });
  });

  it('what it imports is told by name, and how long setupPlugin took, when there is one', async () => {
    const code = `import { createHash } from 'crypto'; const { URL } = require('url'); export function processEvent(e) { return e }`;
    const loaded = await sandbox.load(plugin(1, code));
    expect(loaded).toEqual({ type: 'loaded', methods: ['processEvent'], imports: ['crypto', 'url'], setupMs: undefined });
    expect(await sandbox.load(plugin(1, `export function setupPlugin() {} export function processEvent(e) { return e }`))).toMatchObject({
      setupMs: expect.any(Number) as number,
    });
  });
  it('V-20: a refusal says whether it was setupPlugin, and with what', async () => {
    const code = 'export function setupPlugin() { throw new RangeError("no key") } export function processEvent(e) { return e }';
    expect(await sandbox.load(plugin(1, code))).toMatchObject({
      type: 'refused',
      setup: { fault: { name: 'RangeError', message: 'no key', stack: expect.stringContaining('setupPlugin') as string } },
    });
  });

  const refused: Record<string, [PluginSource, RegExp]> = {
    'code that does not parse': [plugin(1, 'export function ('), /./],
    'code that throws at its top level': [plugin(1, 'throw new Error("at the top")'), /at the top/],
    'a setupPlugin that throws': [
      plugin(1, 'export function setupPlugin() { throw new Error("no key") }'),
      /setupPlugin failed with no key/,
    ],
    'an import of what is not provided': [plugin(1, 'import fs from "fs"; export const processEvent = fs'), /Cannot import 'fs'!/],
    'a require of what is not provided': [plugin(1, 'const fs = require("fs")'), /Cannot import 'fs'!/],
    'a dynamic import': [plugin(1, 'await import("fs"); export const a = 1'), /./],
    'a manifest that is not JSON': [plugin(1, '', { files: { 'plugin.json': '{', 'index.js': '1' } }), /plugin\.json/],
    'no source at all': [plugin(1, '', { files: {} }), /Could not load source code/],
  };
  for (const [what, [source, message]] of Object.entries(refused))
    it(`${what} is refused with a message`, async () => {
      expect(await sandbox.load(source)).toMatchObject({ type: 'refused', message: expect.stringMatching(message) as unknown });
    });
});

describe('one batch', () => {
  it('runs in order, one event at a time, and meta.global lives as long as the isolate (V-13)', async () => {
    const code = `let running = 0;
      export async function processEvent(event, { global }) {
        running += 1; if (running > 1) throw new Error('two at once');
        await null; global.count = (global.count ?? 0) + 1; event.properties.count = global.count; running -= 1; return event }`;
    const first = await run(code, [event(), event(), event()]);
    const second = await sandbox.invoke(1, [event()], DEADLINE_MS);
    expect([...first, ...second].map((result) => (result.type === 'event' ? result.event.properties['count'] : result))).toEqual([
      1, 2, 3, 4,
    ]);
  });
  it('a throw fails one event, with the mutations made before it (PE-3)', async () => {
    const code = `export function processEvent(event) { event.properties.seen = true; if (event.event === 'bad') throw new Error('I do not like it'); return event }`;
    const results = await run(code, [event(), event({ event: 'bad' }), event()]);
    expect(results.map((result) => result.type)).toEqual(['event', 'failed', 'event']);
    expect(results[1]).toEqual({
      type: 'failed',
      message: 'I do not like it',
      event: event({ event: 'bad', properties: { n: 1, seen: true } }),
      fault: {
        name: 'Error',
        message: 'I do not like it',
        stack: expect.stringMatching(/^Error: I do not like it\n +at .*plugin:\d+:\d+/) as string,
      },
    });
  });
  for (const falsy of ['null', 'undefined', 'false', '0', '""'])
    it(`a plugin that returns ${falsy} drops the event (L-5)`, async () => {
      expect(await run(`export const processEvent = async () => ${falsy}`)).toEqual([{ type: 'dropped' }]);
    });
  for (const strange of [
    '"text"',
    '17',
    '[1]',
    '() => 1',
    '{}',
    '{ ...event, properties: 7 }',
    '{ ...event, uuid: 7 }',
    '{ ...event, toJSON: () => 7 }',
  ])
    it(`a plugin that returns ${strange} has failed on that event`, async () => {
      expect(await run(`export const processEvent = (event) => (${strange})`)).toMatchObject([{ type: 'failed' }]);
    });
  describe('what is heard beside the results', () => {
    /** Runs one batch and remembers what was said. */
    async function hear(code: string, events?: readonly PluginEvent[]) {
      const lines: ConsoleLine[] = [];
      const faults: PluginFault[] = [];
      const heard = { lost: 0, succeededMs: 0, failedMs: 0 };
      const results = await run(code, events, undefined, {
        consoleWritten: (written, lost) => {
          lines.push(...written);
          heard.lost += lost;
        },
        rejectionLeft: (fault) => void faults.push(fault),
        callsTimed: (succeededMs, failedMs) => Object.assign(heard, { succeededMs, failedMs }),
      });
      return { results, lines, faults, heard };
    }
    it('console lines: objects as JSON, parts joined by one space, at most a hundred of a batch, the others counted', async () => {
      const code = `export function processEvent(e) { console.log('a', { b: 1 }, [2]); for (let i = 0; i < 150; i++) console.warn(i); return e }`;
      const { lines, heard } = await hear(code);
      expect(lines).toHaveLength(100);
      expect(lines[0]).toEqual({ level: 'log', text: 'a {"b":1} [2]' });
      expect(lines[1]).toEqual({ level: 'warn', text: '0' });
      expect(heard.lost).toBe(51);
    });
    it('LG-2: a line of 50,000 characters is whole; of a longer one, as much as shows that it is longer', async () => {
      const { lines } = await hear(
        `export function processEvent(e) { console.log('x'.repeat(50000)); console.log('x'.repeat(9e6)); console.log('x'.repeat(40000), 'y'.repeat(20000)); return e }`,
      );
      expect(lines.map(({ text }) => text.length)).toEqual([50_000, 50_001, 50_001]);
    });
    it('a megabyte of lines is the most that a batch may say', async () => {
      const code = `export function processEvent(e) { for (let i = 0; i < 90; i++) console.log('x'.repeat(49000)); return e }`;
      const { lines, heard } = await hear(code);
      expect(lines).toHaveLength(22);
      expect(heard.lost).toBe(68);
    });
    it('lines of setupPlugin are heard with the load', async () => {
      const { lines } = await hear(`export function setupPlugin() { console.info('ready') } export function processEvent(e) { return e }`);
      expect(lines).toEqual([{ level: 'info', text: 'ready' }]);
    });
    for (const [how, left] of Object.entries({
      'at once': `Promise.reject(new RangeError('left alone'))`,
      later: `(async () => { await null; await null; throw new RangeError('left alone') })()`,
    }))
      it(`PE-8: a promise that is rejected ${how} and that nobody awaits fails no event, and is told with its stack`, async () => {
        const code = `export async function processEvent(e) { if (e.event === 'left') { ${left} } return e }`;
        const { results, faults } = await hear(code, [event(), event({ event: 'left' }), event()]);
        expect(results.map(({ type }) => type)).toEqual(['event', 'event', 'event']);
        expect(faults).toEqual([{ name: 'RangeError', message: 'left alone', stack: expect.stringContaining('plugin:') as string }]);
        expect(faults[0]?.stack).not.toContain('troupe');
        // The isolate goes on as it was.
        expect(await sandbox.invoke(1, [event()], DEADLINE_MS)).toHaveLength(1);
      });
    it('a rejection that nobody awaits is no way around the deadline', async () => {
      const code = `export async function processEvent(e) { Promise.reject(new Error('x')); await new Promise(() => {}); return e }`;
      await expect(hear(code)).rejects.toBeInstanceOf(SandboxError);
    });
    it('the time of the calls, of those that failed by themselves', async () => {
      const spin = 'const until = Date.now() + 30; while (Date.now() < until);';
      const code = `export function processEvent(e) { Date.now = () => 0; ${spin.replaceAll('Date.now()', 'new Date().getTime()')} if (e.event === 'bad') throw 1; return e }`;
      const { heard } = await hear(code, [event(), event({ event: 'bad' }), event()]);
      expect(heard.succeededMs).toBeGreaterThanOrEqual(58);
      expect(heard.failedMs).toBeGreaterThanOrEqual(29);
    });
  });
  it('text crosses unharmed: quotes, line separators, lone surrogates, deep keys', async () => {
    const properties = { text: 'a"b\\ \u2028 \u{1F600} \ud800', __proto__x: { 'a.b': [null, true, 1.5e-7] } };
    expect(await run('export const processEvent = (e) => e', [event({ properties })])).toEqual([
      { type: 'event', event: event({ properties }) },
    ]);
  });
  it('an id that is not loaded is refused', async () => {
    await expect(sandbox.invoke(12345, [event()], DEADLINE_MS)).rejects.toMatchObject({ code: 'not-loaded' });
    await sandbox.load(INNOCENT);
    await sandbox.unload(900);
    await expect(sandbox.invoke(900, [event()], DEADLINE_MS)).rejects.toMatchObject({ code: 'not-loaded' });
  });
});

describe('what a plugin may use (V-10, V-11)', () => {
  const evaluate = async (expression: string, head = ''): Promise<unknown> => {
    const [result] = await run(
      `${head}; export function processEvent(event) { event.properties = { value: ${expression} }; return event }`,
    );
    return result?.type === 'event' ? result.event.properties['value'] : result;
  };
  // each is run by Node too: the two must agree
  const urls = [
    `new URL('https://u:p@ex.org:8080/a/b?x=1&y=%20z#h').href`,
    `(() => { const u = new URL('/p?q=1', 'https://ex.org'); return [u.origin, u.host, u.pathname, u.search, u.hash, u.protocol, String(u), JSON.stringify({ u })] })()`,
    `(() => { const u = new URL('https://ex.org/?a=1&b=2&a=3'); u.searchParams.delete('a'); u.searchParams.append('c d', 'ü&='); u.hash = 'x'; return u.href })()`,
    `(() => { const u = new URL('https://ex.org/?a=1'); const s = u.searchParams; u.search = ''; u.pathname = '/neu'; u.port = '99'; return [u.href, u.searchParams.size] })()`,
    `[...new URLSearchParams('?a=1&b=+%2B&a=%E0%A4%A')]`,
    `(() => { const s = new URLSearchParams({ b: 2, a: 1 }); s.set('b', 3); s.sort(); return [s.toString(), s.get('a'), s.get('none'), s.getAll('b'), s.has('a'), [...s.keys()]] })()`,
    `URL.canParse('nonsense')`,
    `(() => { try { new URL('nonsense') } catch (e) { return e instanceof TypeError } })()`,
  ];
  for (const expression of urls)
    it(expression, async () => {
      const expected: unknown = JSON.parse(JSON.stringify((0, eval)(expression)));
      expect(await evaluate(expression)).toEqual(expected);
    });
  it('hashes, by import and by require', async () => {
    const sha = createHash('sha256').update('ab').digest('hex');
    const hmac = createHmac('sha1', 'key').update('a').digest('base64');
    expect(await evaluate(`createHash('sha256').update('a').update('b').digest('hex')`, `import { createHash } from 'crypto'`)).toBe(sha);
    expect(await evaluate(`crypto.createHmac('sha1', 'key').update('a').digest('base64')`, `import crypto from 'crypto'`)).toBe(hmac);
    expect(
      await run(
        `const { createHash } = require('crypto'); exports.processEvent = (e) => ({ ...e, distinct_id: createHash('sha256').update('ab').digest('hex') })`,
      ),
    ).toMatchObject([{ event: { distinct_id: sha } }]);
    expect(await evaluate(`createHash('nonsense').digest('hex')`, `import { createHash } from 'crypto'`)).toMatchObject({
      type: 'failed',
      message: 'Digest method not supported',
    });
  });
});

describe('attacks', () => {
  const endless: Record<string, string> = {
    'while (true)': 'export function processEvent() { while (true); }',
    'for (;;) await null': 'export async function processEvent() { for (;;) await null; }',
    'a promise that never resolves': 'export function processEvent() { return new Promise(() => {}) }',
    'a thenable that never calls back': 'export function processEvent() { return { then() {} } }',
    'endless questions to the child': 'export function processEvent() { for (;;) new URL("https://a.b") }',
    'a regular expression that backtracks for ever': 'export function processEvent() { return /^(a+)+$/.test("a".repeat(60) + "b") }',
    'a getter that loops in the result': 'export function processEvent(e) { return { ...e, get x() { for (;;); } } }',
    'a thrown Proxy whose every trap loops':
      'export function processEvent() { throw new Proxy({}, { get() { for (;;); }, getPrototypeOf() { for (;;); } }) }',
    'a message whose toString loops': 'export function processEvent() { throw { message: { toString() { for (;;); } } } }',
  };
  for (const [attack, code] of Object.entries(endless))
    it(`${attack}: ends at the deadline, costs only its own isolate, and the plugin can be loaded again`, async () => {
      await sandbox.load(INNOCENT);
      const pid = sandbox.pid();
      await expect(run(code)).rejects.toMatchObject({ code: 'deadline', culprit: 1 });
      expect(sandbox.pid()).toBe(pid);
      await expect(sandbox.invoke(1, [event()], DEADLINE_MS)).rejects.toMatchObject({ code: 'not-loaded' });
      expect(await sandbox.invoke(900, [event()], 5_000)).toMatchObject([{ type: 'event' }]);
      expect(await run('export const processEvent = (e) => e')).toMatchObject([{ type: 'event' }]);
    });

  const bombs: Record<string, string> = {
    'an array pushed full': 'export function processEvent() { const all = []; for (;;) all.push({ a: all.length }) }',
    'new Array(2**30).fill({})': 'export function processEvent() { return new Array(2 ** 30).fill({}) }',
    'an array of arrays': 'export function processEvent() { const all = []; for (;;) all.push(new Array(2 ** 20).fill(1)) }',
    'a doubling string': 'export function processEvent(e) { let s = "x"; for (;;) { s += s; e.properties.s = s; JSON.stringify(e) } }',
    'array buffers': 'export function processEvent() { const all = []; for (;;) all.push(new Uint8Array(8 * 1024 * 1024).fill(1)) }',
  };
  for (const [attack, code] of Object.entries(bombs))
    it(`${attack}: the host survives and other plugins work afterwards`, async () => {
      await sandbox.load(INNOCENT);
      const outcome = await run(code).then(
        (results) => results[0]?.type,
        (error: unknown) => (error instanceof SandboxError ? error.code : error),
      );
      expect(['deadline', 'died', 'failed']).toContain(outcome);
      await expectInnocentWorks();
    });

  it('code that is endless while it loads is stopped', async () => {
    // 'died' is the third grade of force (port.ts): a busy machine may not obey the first two in time. The culprit is named either way.
    const stopped = { code: expect.stringMatching(/^(deadline|died)$/) as string, culprit: 1 };
    await expect(sandbox.load(plugin(1, 'while (true);'))).rejects.toMatchObject(stopped);
    await expect(sandbox.load(plugin(1, 'export const setupPlugin = () => new Promise(() => {})'))).rejects.toMatchObject(stopped);
    const hostile = sandbox.load(plugin(1, 'throw new Proxy({}, { get() { for (;;); }, getPrototypeOf() { for (;;); } })'));
    expect(['deadline', 'died', 'refused']).toContain(
      await hostile.then(
        (result) => result.type,
        (error: SandboxError) => error.code,
      ),
    );
    await expectInnocentWorks();
  });

  it('nothing of Node is in reach, not even through constructors', async () => {
    const code = `
      const seek = (f) => { try { return String(f()) } catch (e) { return 'threw' } };
      export function processEvent(event, meta) {
        event.properties.found = [
          seek(() => event.constructor.constructor('return typeof process + typeof require')()),
          seek(() => meta.config.constructor.constructor('return typeof process')()),
          seek(() => console.log.constructor('return typeof process')()),
          seek(() => require.constructor('return typeof process')()),
          seek(() => URL.constructor('return typeof process')()),
          seek(() => require('crypto').createHash.constructor('return typeof process')()),
          seek(() => typeof fetch + typeof setTimeout + typeof WebAssembly + typeof SharedArrayBuffer + typeof Atomics + typeof ivm),
          seek(() => new Error().stack.includes('/')),
          seek(() => Object.getOwnPropertyNames(globalThis).filter((name) => /ivm|isolate|process|binding/i.test(name))),
        ]; return event }`;
    const [result] = await run(code);
    expect(result).toMatchObject({
      event: {
        properties: {
          found: ['undefinedfunction', 'undefined', 'undefined', 'undefined', 'undefined', 'undefined', 'undefined'.repeat(6), 'false', ''],
        },
      },
    });
  });

  it('polluted prototypes change neither the envelope nor other events', async () => {
    const code = `
      const lie = { type: 'dropped' };
      Object.prototype.toJSON = function () { return this.properties ? { ...this, toJSON: undefined, lied: true } : lie };
      Array.prototype.toJSON = () => 'no array'; String.prototype.slice = () => 'no slice';
      Object.defineProperty(Object.prototype, 'type', { value: 'dropped' });
      Object.defineProperty(Array.prototype, 0, { set() { throw new Error('trapped') }, get: () => 1 });
      Promise.prototype.then = () => { throw new Error('then') };
      JSON.stringify = () => '"owned"'; JSON.parse = () => ({}); globalThis.String = () => 'owned';
      Array.isArray = () => true; Object.keys = () => [];
      export function processEvent(event) { if (event.event === 'bad') throw new Error('as always'); return event }`;
    const results = await run(code, [event(), event({ event: 'bad' })]);
    expect(results).toMatchObject([
      { type: 'event', event: { distinct_id: 'ada', lied: true } },
      { type: 'failed', message: 'as always' },
    ]);
    expect(({} as Record<string, unknown>)['type']).toBeUndefined();
    await expectInnocentWorks();
  });

  it('__proto__ keys in a result stay data', async () => {
    const [result] = await run(
      `export const processEvent = (e) => { e.properties = JSON.parse('{"__proto__":{"polluted":1}}'); return e }`,
    );
    expect(result?.type).toBe('event');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('a huge result fails that event only', async () => {
    const code = `export function processEvent(e) { if (e.event === 'big') e.properties.x = 'x'.repeat(6e6); return e }`;
    expect(await run(code, [event({ event: 'big' }), event()])).toMatchObject([
      { type: 'failed', event: undefined, message: expect.stringMatching(/characters/) as unknown },
      { type: 'event' },
    ]);
  });

  it('one plugin cannot see or change another', async () => {
    await sandbox.load(INNOCENT);
    await run('globalThis.shared = 1; Object.prototype.innocent = "stolen"; export const processEvent = (e) => e');
    await sandbox.load(plugin(2, 'export const processEvent = (e) => { e.properties.shared = typeof shared; return e }'));
    expect(await sandbox.invoke(2, [event()], DEADLINE_MS)).toMatchObject([{ event: { properties: { shared: 'undefined' } } }]);
    expect(await sandbox.invoke(900, [event()], DEADLINE_MS)).toMatchObject([{ event: { properties: { innocent: true } } }]);
  });
});

describe('the life of the child', () => {
  it('is told as facts, and calls in flight reject when it is killed from outside, with no culprit', async () => {
    const own = createSandbox({ clock: systemClock, memoryLimitMb: 32 });
    const facts: { pid: number }[] = [];
    const stops = [observe('sandbox-started', (fact) => facts.push(fact)), observe('sandbox-ended', (fact) => facts.push(fact))];
    await own.load(plugin(1, 'export const processEvent = () => new Promise(() => {})'));
    const pid = own.pid();
    const inFlight = own.invoke(1, [event()], 20_000);
    process.kill(pid ?? 0, 'SIGKILL');
    await expect(inFlight).rejects.toMatchObject({ code: 'died', culprit: undefined });
    await expect(own.invoke(1, [event()], 1_000)).rejects.toMatchObject({ code: 'not-loaded' });
    expect(await own.load(INNOCENT)).toMatchObject({ type: 'loaded' });
    const second = own.pid();
    expect(second).not.toBe(pid);
    await own.close();
    expect(own.pid()).toBeUndefined();
    await expect(own.load(INNOCENT)).rejects.toMatchObject({ code: 'died' });
    for (const stop of stops) stop();
    const ofOwn = facts.filter((fact) => fact.pid === pid || fact.pid === second); // the children of other tests may still be ending
    expect(ofOwn).toMatchObject([{ pid }, { pid, reason: 'SIGKILL' }, { pid: second }, { pid: second, reason: 'closed' }]);
  });

  it('a bomb that takes the child down names its plugin to the neighbours in flight', async () => {
    const own = createSandbox({ clock: systemClock, memoryLimitMb: 32 });
    await own.load(plugin(1, 'export function processEvent() { return new Array(2 ** 30).fill({}) }'));
    await own.load(plugin(2, 'export const processEvent = () => new Promise(() => {})'));
    const neighbour = own.invoke(2, [event()], 20_000);
    const bomber = own.invoke(1, [event()], 2_000);
    await expect(bomber).rejects.toMatchObject({ culprit: 1 });
    await expect(neighbour).rejects.toMatchObject({ code: 'died', culprit: 1 });
    await own.close();
  });

  it('dies with its parent, also when the parent is killed and plugin code is running', async () => {
    const { spawn } = await import('node:child_process');
    const script = `
      import { createSandbox } from '${new URL('../../src/sandbox/host.ts', import.meta.url).href}';
      import { systemClock } from '${new URL('../../src/runtime/clock.ts', import.meta.url).href}';
      const sandbox = createSandbox({ clock: systemClock });
      await sandbox.load({ pluginConfigId: 1, teamId: 1, name: 'x', config: {}, files: { 'index.js': 'function processEvent() { while (true); }' } });
      console.log(sandbox.pid());
      void sandbox.invoke(1, [{}], 60_000).catch(() => {});
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) => parent.stdout.once('data', (text) => resolve(Number(text))));
    expect(pid).toBeGreaterThan(0);
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  });
});

async function isAlive(pid: number): Promise<boolean> {
  const { readFileSync } = await import('node:fs');
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')); // a zombie waits only for its reaper
  } catch {
    return false;
  }
}
