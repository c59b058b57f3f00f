import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');

/** Starts telemetry in a process of its own, states a fact, stops; prints the log and which packages of OpenTelemetry were loaded. */
function start(otlpEndpoint: string | undefined): { readonly log: string; readonly loaded: readonly string[] } {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({ resolve: (specifier, context, next) => { if (specifier.startsWith('@opentelemetry/')) loaded.add(specifier); return next(specifier, context); } });
    const { startTelemetry } = await import('./src/telemetry/telemetry.ts');
    const { systemClock } = await import('./src/runtime/clock.ts');
    const { state } = await import('./src/observe/facts.ts');
    let log = '';
    const telemetry = await startTelemetry({
      clock: systemClock, serviceName: 'troupe', otlpEndpoint: ${JSON.stringify(otlpEndpoint)} ?? undefined, metrics: {},
      log: { level: 'info', pretty: false, write: (line) => { log += line; } },
    });
    state('log-written', { level: 'info', message: 'Here.' });
    await telemetry.stop();
    state('log-written', { level: 'info', message: 'Gone.' });
    console.log(JSON.stringify({ log, loaded: [...loaded] }));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as { log: string; loaded: string[] };
}

describe('telemetry', () => {
  it('loads no SDK without an endpoint, which would cost 0.9 s and 51 MB (prom-client brings the small API package)', () => {
    expect(start(undefined).loaded).toEqual(['@opentelemetry/api']);
  });

  it('loads the SDK with one, and its process ends by itself after stop', () => {
    expect(start('http://127.0.0.1:9').loaded).toContain('@opentelemetry/sdk-node');
  });

  it('listens to facts from its start to its stop', () => {
    const { log } = start(undefined);
    expect(log).toContain('Here.');
    expect(log).not.toContain('Gone.');
  });
});
