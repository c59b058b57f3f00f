import { afterEach, describe, expect, it } from 'vitest';
import { state } from '../../../src/observe/facts.ts';
import type { Clock } from '../../../src/runtime/clock.ts';
import { mapFactsToLog } from '../../../src/telemetry/log-map.ts';
import { createLog, REPEAT_WINDOW_MS, type Log, type LogOptions } from '../../../src/telemetry/log.ts';

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

function start(options: Partial<LogOptions> = {}) {
  let nowMs = Date.UTC(2026, 10, 21, 12, 0, 1, 250);
  let timers: { atMs: number; run: () => void }[] = [];
  const clock: Clock = {
    now: () => nowMs,
    monotonic: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((other) => other !== timer)) };
    },
  };
  const lines: string[] = [];
  const log: Log = createLog({ level: 'info', serviceName: 'troupe', clock, pretty: false, write: (line) => lines.push(line), ...options });
  ends.push(mapFactsToLog(log));
  return {
    log,
    lines,
    json: (): Record<string, unknown>[] => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    advance: (byMs: number) => {
      nowMs += byMs;
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const { run } of due) run();
    },
  };
}

const crash = (kind: string) => ({ kind, path: `/${kind}/1`, code: 'bug', message: 'boom' });

describe('the log', () => {
  it('writes a fact as one JSON line: constant message, the rest as fields', () => {
    const { json } = start();
    state('runtime-actor-crashed', crash('router'));
    expect(json()).toEqual([
      {
        level: 'error',
        time: '2026-11-21T12:00:01.250Z',
        service: 'troupe',
        kind: 'router',
        path: '/router/1',
        code: 'bug',
        error: 'boom',
        message: 'Actor crashed.',
      },
    ]);
  });

  it('writes for people on a terminal', () => {
    const { lines } = start({ pretty: true });
    state('log-written', { level: 'info', message: 'Ready.', fields: { port: 8010, url: 'http://x/', note: 'two words' } });
    expect(lines).toEqual(['12:00:01.250 INFO  Ready. port=8010 url=http://x/ note="two words"\n']);
  });

  it('writes nothing below its level', () => {
    const { lines } = start({ level: 'warn' });
    state('log-written', { level: 'info', message: 'Ready.' });
    state('router-batch-read', { topic: 't', partition: 1, records: 1, bytes: 1, lag: 0 });
    expect(lines).toEqual([]);
  });

  it('writes a repeated fact once in 10 s, then the number of the others', () => {
    const { json, advance } = start();
    for (let count = 0; count < 1_000; count++) state('runtime-actor-crashed', crash('router'));
    expect(json()).toHaveLength(1);
    advance(REPEAT_WINDOW_MS);
    expect(json()).toHaveLength(2);
    expect(json()[1]).toMatchObject({ message: 'Actor crashed.', repeated: 999 });
  });

  it('counts per kind: one that crashes in a loop does not hide another', () => {
    const { json } = start();
    state('runtime-actor-crashed', crash('router'));
    state('runtime-actor-crashed', crash('router'));
    state('runtime-actor-crashed', crash('team'));
    expect(json().map(({ kind }) => kind)).toEqual(['router', 'team']);
  });

  it('writes nothing more about a fact that did not come again, and begins anew after the window', () => {
    const { json, advance } = start();
    state('runtime-actor-crashed', crash('router'));
    advance(REPEAT_WINDOW_MS);
    state('runtime-actor-crashed', crash('router'));
    expect(json().map(({ repeated }) => repeated)).toEqual([undefined, undefined]);
  });

  it('gives the counts it holds back when it is stopped', () => {
    const { log, json } = start();
    state('runtime-actor-crashed', crash('router'));
    state('runtime-actor-crashed', crash('router'));
    log.stop();
    expect(json()[1]).toMatchObject({ repeated: 1 });
  });

  it('is an access log of capture where debug lines are written', () => {
    const { json } = start({ level: 'debug' });
    const client = { address: '10.0.0.1', forwardedFor: '1.2.3.4', userAgent: 'ua', referer: 'https://shop.example/' };
    const answered = { method: 'POST', path: '/e', status: 200, events: 1, bytes: 9, sentBytes: 15, durationMs: 1, requestId: 'r1' };
    const isLogged = false;
    state('capture-request-answered', { ...answered, reason: undefined, client, isLogged });
    state('capture-request-answered', { ...answered, reason: 'req_parsing', client, isLogged, status: 400 });
    expect(json()).toMatchObject([
      { level: 'debug', ...answered, ...client },
      { status: 400, reason: 'req_parsing', address: '10.0.0.1' },
    ]);
  });

  it('16.2 row 15: has a line for each request that the operator wants one for, whatever came before', () => {
    const { json } = start();
    const client = { address: '10.0.0.1', forwardedFor: '1.2.3.4', userAgent: 'ua', referer: 'https://shop.example/' };
    const answered = { method: 'POST', path: '/putmessage', events: 1, bytes: 9, sentBytes: 0, durationMs: 1 };
    for (const [requestId, status] of [
      ['r1', 200],
      ['r2', 200],
      ['r3', 503],
      ['r4', 503],
    ] as const) {
      state('capture-request-answered', { ...answered, status, requestId, client, reason: undefined, isLogged: true });
    }
    expect(json()).toMatchObject([
      { level: 'info', ...answered, requestId: 'r1', status: 200, ...client },
      { level: 'info', requestId: 'r2' },
      { level: 'warn', requestId: 'r3', status: 503, ...client },
      { level: 'warn', requestId: 'r4' },
    ]);
    expect(json().every((line) => !('isLogged' in line))).toBe(true);
  });

  it('says nothing of requests that clients got wrong, and warns of those it had to refuse itself', () => {
    const { json } = start();
    const client = { address: '10.0.0.1', forwardedFor: undefined, userAgent: 'ua', referer: undefined };
    const answered = {
      method: 'POST',
      path: '/e',
      events: 0,
      bytes: 1,
      sentBytes: 1,
      durationMs: 1,
      reason: undefined,
      requestId: 'r1',
      client,
      isLogged: false,
    };
    state('capture-request-answered', { ...answered, status: 400 });
    state('capture-request-answered', { ...answered, status: 503 });
    expect(json()).toMatchObject([{ level: 'warn', status: 503, requestId: 'r1' }]);
    expect(JSON.stringify(json())).not.toContain('10.0.0.1');
  });
});

describe('row 28: the format of the capture document', () => {
  it('has exactly its names: level, timestamp, caller, msg, fields with event_id and token', () => {
    const { lines } = start({ format: 'document', level: 'debug', pretty: true });
    const client = { address: undefined, forwardedFor: undefined, userAgent: undefined, referer: undefined };
    const request = {
      method: 'POST',
      path: '/e',
      status: 200,
      events: 1,
      bytes: 9,
      sentBytes: 9,
      durationMs: 1,
      reason: undefined,
      requestId: 'r',
    };
    state('capture-request-answered', { ...request, client, isLogged: true, token: 'phc_abcdefghijkl', eventId: 'u-1' });
    const line = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    expect(Object.keys(line).sort()).toEqual(['caller', 'fields', 'level', 'msg', 'timestamp']);
    expect(line).toMatchObject({
      level: 'info',
      timestamp: '2026-11-21T12:00:01.250Z',
      caller: 'capture-request-answered',
      msg: 'Capture answered a request.',
      fields: { event_id: 'u-1', token: 'phc_abcd…', path: '/e' },
    });
  });

  it('calls the uuid of an event event_id, also in a line that was held back', () => {
    const { json, advance } = start({ format: 'document' });
    for (const uuid of ['a', 'b']) state('log-written', { level: 'warn', message: 'Odd.', fields: { uuid } });
    advance(REPEAT_WINDOW_MS);
    expect(json()).toMatchObject([
      { caller: 'log-written', msg: 'Odd.', fields: { event_id: 'a' } },
      { caller: 'log-written', fields: { event_id: 'b', repeated: 1 } },
    ]);
  });
});

describe('row 28: tokens are masked in log lines', () => {
  const fieldsOf = (fields: Record<string, unknown>): unknown => {
    const { json } = start();
    state('log-written', { level: 'info', message: 'A line.', fields });
    const { level: _level, time: _time, service: _service, message: _message, ...rest } = json()[0] ?? {};
    return rest;
  };
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['a token', { token: 'phc_abcdefghijkl' }, { token: 'phc_abcd…' }],
    ['a token of another shape', { token: 'my-own-token' }, { token: 'my-o…' }],
    ['a short one', { token: 'ab' }, { token: 'a…' }],
    ['one in a text', { error: 'no team for phc_abcdefghijkl: gone' }, { error: 'no team for phc_abcd…: gone' }],
    ['a key of a person', { error: 'phx_abcdefghijkl' }, { error: 'phx_abcd…' }],
    ['several, in a list', { list: ['phc_abcdefghij:u1', 'b'] }, { list: ['phc_abcd…:u1', 'b'] }],
    ['deeper', { a: { token: 'phc_abcdefghij', n: 1 } }, { a: { token: 'phc_abcd…', n: 1 } }],
    ['nothing', { phase: 'alpha', n: 1, none: null, id: 'u-1' }, { phase: 'alpha', n: 1, none: null, id: 'u-1' }],
  ])('%s', (_, fields, shown) => {
    expect(fieldsOf(fields)).toEqual(shown);
  });

  it('the fields of the fact itself stay as they are: others listen too', () => {
    const { json } = start();
    const fields = { token: 'phc_abcdefghij' };
    state('log-written', { level: 'info', message: 'A line.', fields });
    expect([fields.token, json()[0]?.['token']]).toEqual(['phc_abcdefghij', 'phc_abcd…']);
  });
});

describe('row 27: the level', () => {
  it('is another from the next line on, and the line about it is seen', () => {
    const { log, json } = start({ level: 'warn' });
    state('log-written', { level: 'info', message: 'Unseen.' });
    log.setLevel('debug');
    state('log-level-changed', { level: 'debug', isConfigured: false });
    state('log-written', { level: 'debug', message: 'Seen.' });
    expect(json().map(({ level, message }) => [level, message])).toEqual([
      ['debug', 'The log has another level.'],
      ['debug', 'Seen.'],
    ]);
    log.setLevel('silent');
    state('log-level-changed', { level: 'silent', isConfigured: true });
    expect([json().length, log.level()]).toEqual([2, 'silent']);
  });
});
