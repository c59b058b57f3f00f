import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig, type Env, type LoadedConfig } from '../../../../src/config/load.ts';
import type { Config } from '../../../../src/config/schema.ts';
import { observe, type Facts } from '../../../../src/observe/facts.ts';
import { createReloader, lineOf, type ReloadTarget } from '../../../../src/start/reload/reloader.ts';

/** The machine may be busy. */
const PATIENT = { timeout: 10_000, interval: 2 };

const CAUSE = { by: 'file', who: 't.yaml' } as const;
const load = (env: Env): LoadedConfig => loadConfig(env, { hostName: 'h' });

/** A target that says what was done with it. */
function target(name: string, log: string[], fails?: () => boolean): ReloadTarget {
  return {
    name,
    prepare(next) {
      if (fails?.() === true) throw new Error(`${name} cannot`);
      log.push(`${name} ready for ${next.server.logLevel}`);
      return () => void log.push(`${name} swapped`);
    },
  };
}

/** A reloader whose environment the test changes. */
function reloading(targets: readonly ReloadTarget[] = [], audit?: Parameters<typeof createReloader>[0]['audit']) {
  const env: Record<string, string> = { PLUGIN_SERVER_MODE: 'ingestion' };
  const options = { running: load(env), load: () => load(env), targets };
  return { env, reloader: createReloader(audit === undefined ? options : { ...options, audit }) };
}

function facts<Name extends keyof Facts>(name: Name): Facts[Name][] {
  const seen: Facts[Name][] = [];
  onTestFinished(observe(name, (fact) => seen.push(fact)));
  return seen;
}

describe('a reload', () => {
  it('R1: makes every target ready, then swaps all of them, and says what is another', async () => {
    const log: string[] = [];
    const inForce = facts('config-in-force');
    const told = facts('config-reloaded');
    const { env, reloader } = reloading([target('a', log), target('b', log)]);
    env['LOG_LEVEL'] = 'warn';
    const report = await reloader.reload(CAUSE);
    expect(log).toEqual(['a ready for warn', 'b ready for warn', 'a swapped', 'b swapped']);
    expect(report).toMatchObject({ outcome: 'applied', generation: 2, waiting: [], problems: [] });
    expect(report.applied).toEqual([{ name: 'LOG_LEVEL', before: 'info', after: 'warn', isReloadable: true }]);
    expect(reloader.current().config.server.logLevel).toBe('warn');
    expect(inForce).toEqual([
      { generation: 1, waiting: 0 },
      { generation: 2, waiting: 0 },
    ]);
    expect(told).toEqual([{ ...CAUSE, generation: 2, applied: ['LOG_LEVEL'], waiting: [] }]);
  });

  it('R1, R2: swaps nothing when one target cannot be ready', async () => {
    const log: string[] = [];
    let fails = true;
    const refused = facts('config-refused');
    const { env, reloader } = reloading([target('a', log), target('b', log, () => fails)]);
    env['LOG_LEVEL'] = 'warn';
    expect((await reloader.reload(CAUSE)).outcome).toBe('refused');
    expect(log).toEqual(['a ready for warn']);
    expect([reloader.current().config.server.logLevel, reloader.generation()]).toEqual(['info', 1]);
    expect(refused[0]?.problems).toEqual(['b: b cannot; allowed: settings that it can take']);
    fails = false;
    expect((await reloader.reload(CAUSE)).outcome).toBe('applied');
  });

  it('R2: what cannot be read changes nothing, and is told', async () => {
    const { env, reloader } = reloading();
    Object.assign(env, { LOG_LEVEL: 'loud', TROUPE_NONSENSE: '1' });
    const report = await reloader.reload(CAUSE);
    expect(report).toMatchObject({ outcome: 'refused', generation: 1, applied: [] });
    expect(report.problems.map(({ name }) => name).sort()).toEqual(['LOG_LEVEL', 'TROUPE_NONSENSE']);
    expect(reloader.current().config.server.logLevel).toBe('info');
  });

  it('R2: a bug is no refusal: it rejects, and the next reload goes on', async () => {
    let broken = true;
    const running = load({});
    const reloader = createReloader({
      running,
      targets: [],
      load() {
        if (broken) throw new TypeError('a bug');
        return running;
      },
    });
    await expect(reloader.reload(CAUSE)).rejects.toThrow('a bug');
    broken = false;
    expect((await reloader.reload(CAUSE)).outcome).toBe('unchanged');
  });

  it('R3: what needs a restart is named, each time, and stays as it was', async () => {
    const log: string[] = [];
    const { env, reloader } = reloading([target('a', log)]);
    Object.assign(env, { HTTP_SERVER_PORT: '1', CLICKHOUSE_PASSWORD: 'hunter2' });
    const first = await reloader.reload(CAUSE);
    expect(first).toMatchObject({ outcome: 'unchanged', generation: 1 });
    expect(first.waiting.map(({ name, before, after }) => [name, before, after])).toEqual([
      ['HTTP_SERVER_PORT', '6738', '1'],
      ['CLICKHOUSE_PASSWORD', 'unset', '******'],
    ]);
    expect(log).toEqual([]);
    env['LOG_LEVEL'] = 'warn';
    const second = await reloader.reload(CAUSE);
    expect([second.outcome, second.applied.length, second.waiting.length]).toEqual(['applied', 1, 2]);
    const { config, origins } = reloader.current();
    expect([config.server.httpPort, config.clickhouse.password]).toEqual([6738, undefined]);
    expect([origins.get('HTTP_SERVER_PORT'), origins.get('LOG_LEVEL')]).toEqual(['default', 'environment']);
    delete env['HTTP_SERVER_PORT'];
    expect((await reloader.reload(CAUSE)).waiting).toHaveLength(1);
  });

  it('R3: settings that only stand together with one that needs a restart are refused, and say so', async () => {
    const log: string[] = [];
    const { env, reloader } = reloading([target('a', log)]);
    Object.assign(env, { TROUPE_CAPTURE_ENABLED: 'true' });
    const withCapture = createReloader({ running: load(env), load: () => load(env), targets: [target('a', log)] });
    Object.assign(env, { TROUPE_CAPTURE_DEDUPE_MS: '1000', REDIS_URL: 'redis://cache' }); // by themselves they are right
    const { outcome, problems } = await withCapture.reload(CAUSE);
    expect(outcome).toBe('refused');
    expect(problems.map(lineOf).join()).toContain('or restart, because until then REDIS_URL is as it was at the start');
    expect(log).toEqual([]);
    await reloader.close();
  });

  it('R4: one at a time, and what changed meanwhile is seen by the next', async () => {
    const log: string[] = [];
    const gate = Promise.withResolvers<void>();
    const slow: ReloadTarget = {
      name: 'slow',
      async prepare(next: Config) {
        log.push(`begins ${next.server.logLevel}`);
        await gate.promise;
        return () => void log.push(`swaps ${next.server.logLevel}`);
      },
    };
    const { env, reloader } = reloading([slow]);
    env['LOG_LEVEL'] = 'warn';
    const first = reloader.reload(CAUSE);
    await expect.poll(() => log, PATIENT).toEqual(['begins warn']);
    env['LOG_LEVEL'] = 'error';
    const second = reloader.reload({ by: 'signal', who: 'SIGHUP' });
    gate.resolve();
    expect([(await first).generation, (await second).generation]).toEqual([2, 3]);
    expect(log).toEqual(['begins warn', 'swaps warn', 'begins error', 'swaps error']);
  });

  it('R5: a storm of signals is the reload that runs and one after it; other causes have their own', async () => {
    const log: string[] = [];
    const gate = Promise.withResolvers<void>();
    const slow: ReloadTarget = {
      name: 'slow',
      async prepare(next) {
        log.push(next.server.logLevel);
        await gate.promise;
        return () => undefined;
      },
    };
    const { env, reloader } = reloading([slow]);
    const signal = { by: 'signal', who: 'SIGHUP' } as const;
    env['LOG_LEVEL'] = 'warn';
    const storm = [reloader.reload(signal)];
    await expect.poll(() => log, PATIENT).toEqual(['warn']);
    for (const level of ['error', 'debug', 'error', 'debug']) {
      env['LOG_LEVEL'] = level;
      storm.push(reloader.reload(signal));
    }
    const admin = reloader.reload({ by: 'admin', who: 'ann' });
    gate.resolve();
    expect((await Promise.all(storm)).map(({ generation }) => generation)).toEqual([2, 3, 3, 3, 3]);
    expect(log).toEqual(['warn', 'debug']);
    expect((await admin).outcome).toBe('unchanged');
  });

  it('is not begun after the end, which waits for the one that runs', async () => {
    const log: string[] = [];
    const { env, reloader } = reloading([target('a', log)]);
    env['LOG_LEVEL'] = 'warn';
    const first = reloader.reload(CAUSE);
    await reloader.close();
    // Closed before its turn came: it changes nothing any more.
    expect((await first).outcome).toBe('refused');
    expect(log).toEqual([]);
  });

  it('is refused when it cannot be written into the audit log, and told once', async () => {
    const log: string[] = [];
    const refused = facts('config-refused');
    const { env, reloader } = reloading([target('a', log)], () => Promise.reject(new Error('no space')));
    env['LOG_LEVEL'] = 'warn';
    const report = await reloader.reload(CAUSE);
    expect(report.outcome).toBe('refused');
    expect(report.problems.map(({ name, todo }) => [name, todo])).toEqual([['the audit log', 'no space']]);
    expect(refused.map(({ problems }) => problems.length)).toEqual([1]);
    env['LOG_LEVEL'] = 'loud';
    expect((await reloader.reload(CAUSE)).problems.map(({ name }) => name)).toEqual(['LOG_LEVEL', 'the audit log']);
    expect(log).toEqual(['a ready for warn']);
    expect(reloader.current().config.server.logLevel).toBe('info');
  });
});
