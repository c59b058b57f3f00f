import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAdminTokens } from '../../../../src/config/admin-tokens.ts';
import { loadConfig, type LoadedConfig } from '../../../../src/config/load.ts';
import { adminRoutes } from '../../../../src/start/admin/actions.ts';
import { NO_AUDIT_LOG, openAuditLog, type AuditEntry, type AuditLog } from '../../../../src/start/admin/audit-log.ts';
import { createLogLevel, type Level } from '../../../../src/start/admin/log-level.ts';
import { openAudit } from '../../../../src/start/admin/open-admin.ts';
import { createClosers } from '../../../../src/start/closers.ts';
import { openReloads } from '../../../../src/start/reload/open-reloads.ts';
import { manualClock } from '../../../kit/clock.ts';

const CALLER = { who: 'ann', address: '127.0.0.1' };

function fakeLog(level: Level = 'info') {
  let current = level;
  return { level: () => current, setLevel: (next: Level) => void (current = next) };
}

/** The admin server's actions on a process that the test describes by its environment. */
function admin(audit: AuditLog = NO_AUDIT_LOG) {
  const env: Record<string, string> = { PLUGIN_SERVER_MODE: 'ingestion', CLICKHOUSE_PASSWORD: 'hunter2' };
  const clock = manualClock();
  const load = (): LoadedConfig => loadConfig(env, { hostName: 'h' });
  const log = fakeLog();
  const logLevel = createLogLevel(log, clock);
  const target = { name: 'the log', prepare: (next: LoadedConfig['config']) => () => logLevel.configure(next.server.logLevel) };
  const reloader = openReloads({ loaded: load(), load, targets: [target], audit, clock, closers: createClosers() });
  const routes = adminRoutes({ reloader, logLevel, audit, status: () => ({ version: '1' }) });
  const act = async (method: 'GET' | 'PUT' | 'POST', path: string, body?: unknown) => {
    const { status, body: answer } = await (routes[path]?.[method]?.(CALLER, body) ?? Promise.reject(new Error('no such action')));
    return { status, answer: JSON.parse(JSON.stringify(answer)) as Record<string, unknown> };
  };
  return { act, env, log, clock };
}
function remembering(fails?: Error) {
  const entries: AuditEntry[] = [];
  const record = (entry: AuditEntry): Promise<void> =>
    fails === undefined ? Promise.resolve(void entries.push(entry)) : Promise.reject(fails);
  return { entries, audit: { ...NO_AUDIT_LOG, record } };
}

describe('what the admin server does', () => {
  it('row 38: POST /reload answers with what changed, what waits, or what was wrong', async () => {
    const { entries, audit } = remembering();
    const { act, env, log } = admin(audit);
    Object.assign(env, { LOG_LEVEL: 'warn', HTTP_SERVER_PORT: '1' });
    const { status, answer } = await act('POST', '/reload');
    expect(status).toBe(200);
    expect(answer).toMatchObject({
      outcome: 'applied',
      generation: 2,
      applied: [{ name: 'LOG_LEVEL' }],
      waiting: [{ name: 'HTTP_SERVER_PORT' }],
    });
    expect(log.level()).toBe('warn');
    env['LOG_LEVEL'] = 'loud';
    const refused = await act('POST', '/reload');
    expect(refused.status).toBe(422);
    expect(refused.answer).toMatchObject({ outcome: 'refused', problems: [{ name: 'LOG_LEVEL', value: 'loud' }] });
    expect(entries.map(({ by, who, address, action, outcome }) => [by, who, address, action, outcome])).toEqual([
      ['admin', 'ann', '127.0.0.1', 'reload', 'applied'],
      ['admin', 'ann', '127.0.0.1', 'reload', 'refused'],
    ]);
  });

  it('row 32: GET /config has every setting in force with its origin, and no secret', async () => {
    const { act } = admin();
    const { answer } = await act('GET', '/config');
    expect(JSON.stringify(answer)).not.toContain('hunter2');
    const settings = answer['settings'] as readonly Record<string, unknown>[];
    const rowOf = (name: string) => settings.find((row) => row['name'] === name);
    expect(rowOf('CLICKHOUSE_PASSWORD')).toMatchObject({ value: '******', origin: 'environment', reloadable: false });
    expect(rowOf('LOG_LEVEL')).toMatchObject({ key: 'server.logLevel', value: 'info', origin: 'default', reloadable: true });
  });

  it('GET /status tells the generation, what waits for a restart, and the log level', async () => {
    const { act, env } = admin();
    env['HTTP_SERVER_PORT'] = '1';
    await act('POST', '/reload');
    const { answer } = await act('GET', '/status');
    expect(answer).toMatchObject({ version: '1', generation: 1, waiting: [{ name: 'HTTP_SERVER_PORT' }], log: { level: 'info' } });
  });

  it('row 27: PUT /log-level changes it for some minutes, then it is as the settings say, also when those changed meanwhile', async () => {
    const { entries, audit } = remembering();
    const { act, env, log, clock } = admin(audit);
    const { status, answer } = await act('PUT', '/log-level', { level: 'debug', minutes: 5 });
    expect([status, answer]).toEqual([200, { level: 'debug', configured: 'info', until: new Date(clock.now() + 300_000).toISOString() }]);
    env['LOG_LEVEL'] = 'warn';
    await act('POST', '/reload');
    clock.advance(299_999);
    expect(log.level()).toBe('debug');
    clock.advance(1);
    expect(log.level()).toBe('warn');
    expect((await act('GET', '/log-level')).answer).toEqual({ level: 'warn', configured: 'warn' });
    expect(entries[0]).toMatchObject({ action: 'log-level', who: 'ann', detail: { before: 'info', after: 'debug', minutes: 5 } });
  });

  it('row 27: without minutes it stays, and a later wish replaces an earlier one with its time', async () => {
    const { act, log, clock } = admin();
    await act('PUT', '/log-level', { level: 'debug', minutes: 1 });
    await act('PUT', '/log-level', { level: 'error' });
    clock.advance(3_600_000);
    expect(log.level()).toBe('error');
  });

  it.each([
    undefined,
    null,
    'debug',
    {},
    { level: 'loud' },
    { level: 'debug', minutes: 0 },
    { level: 'debug', minutes: '5' },
    { level: 'debug', minutes: 1e9 },
  ])('row 27: %j is no log level', async (body) => {
    const { act, log } = admin();
    expect((await act('PUT', '/log-level', body)).status).toBe(400);
    expect(log.level()).toBe('info');
  });

  it('row 32: what cannot be written into the audit log is not done', async () => {
    const { audit } = remembering(new Error('ENOSPC'));
    const { act, env, log } = admin(audit);
    expect((await act('PUT', '/log-level', { level: 'debug' })).status).toBe(503);
    env['LOG_LEVEL'] = 'warn';
    const { status, answer } = await act('POST', '/reload');
    expect(status).toBe(422);
    expect(JSON.stringify(answer)).toContain('ENOSPC');
    expect(log.level()).toBe('info');
  });
});

describe('row 32: the audit log', () => {
  const entry: AuditEntry = { by: 'signal', who: 'SIGHUP', address: undefined, action: 'reload', outcome: 'unchanged', detail: {} };
  async function path(): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-audit-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    return join(dir, 'audit.jsonl');
  }
  const linesOf = async (file: string) =>
    (await readFile(file, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  it('is only added to, one line for each action, in the order of the actions, also over several lives', async () => {
    const file = await path();
    const clock = manualClock();
    for (const life of [1, 2]) {
      const audit = await openAuditLog(file, { clock });
      await Promise.all([0, 1, 2].map((n) => audit.record({ ...entry, detail: { life, n } })));
      await audit.close();
    }
    const lines = await linesOf(file);
    expect(lines).toHaveLength(6);
    expect(lines[4]).toEqual({
      time: new Date(clock.now()).toISOString(),
      by: 'signal',
      who: 'SIGHUP',
      action: 'reload',
      outcome: 'unchanged',
      detail: { life: 2, n: 1 },
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('says so when a line cannot be written, and goes on with the next', async () => {
    const audit = await openAuditLog('/dev/full', { clock: manualClock() });
    await expect(audit.record(entry)).rejects.toThrow('ENOSPC');
    await expect(audit.record(entry)).rejects.toThrow('ENOSPC');
    await audit.close();
  });

  it('a folder that is not there stops the start, by the name of the setting', async () => {
    const { config } = loadConfig({ TROUPE_AUDIT_LOG: '/no/such/folder/audit.jsonl' });
    await expect(openAudit({ config, clock: manualClock(), closers: createClosers() })).rejects.toThrow(/TROUPE_AUDIT_LOG.*ENOENT/);
  });
});

describe('TROUPE_ADMIN_TOKEN', () => {
  const long = 'x'.repeat(16);
  it.each<[string, readonly string[], unknown]>([
    ['nothing', [], []],
    ['one token', [long], [{ name: 'admin', secret: long }]],
    ['base64', [`${long}==`], [{ name: 'admin', secret: `${long}==` }]],
    [
      'names',
      [`a:${long}`, `b:${long}y`],
      [
        { name: 'a', secret: long },
        { name: 'b', secret: `${long}y` },
      ],
    ],
    ['a short one', [long.slice(1)], undefined],
    ['a name twice', [`a:${long}`, `a:${long}y`], undefined],
    ['two without names', [long, `${long}y`], undefined],
    ['blanks in it', [`${long} y`], undefined],
    ['an odd name', [`a b:${long}`], undefined],
  ])('%s', (_, parts, tokens) => {
    expect(parseAdminTokens(parts)).toEqual(tokens);
  });

  it.each([{ TROUPE_ADMIN_PORT: '0' }, { TROUPE_ADMIN_PORT: '0', TROUPE_ADMIN_TOKEN: 'short' }, { TROUPE_ADMIN_TOKEN: 'short' }])(
    '%j is refused at the start, and nothing of it shown',
    (env) => {
      expect(() => loadConfig(env)).toThrow('TROUPE_ADMIN_TOKEN');
      expect(() => loadConfig(env)).not.toThrow('= short');
    },
  );
});
