import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { loadConfig, type LoadedConfig } from '../../../../src/config/load.ts';
import { systemClock } from '../../../../src/runtime/clock.ts';
import { NO_AUDIT_LOG } from '../../../../src/start/admin/audit-log.ts';
import { createClosers } from '../../../../src/start/closers.ts';
import { openReloads } from '../../../../src/start/reload/open-reloads.ts';

/** The machine may be busy. */
const PATIENT = { timeout: 10_000, interval: 2 };

async function fileWith(text: string) {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-reloads-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const path = join(dir, 'troupe.yaml');
  const load = (): LoadedConfig => loadConfig({ TROUPE_CONFIG_FILE: path });
  await writeFile(path, text);
  const closers = createClosers();
  const open = (loaded: LoadedConfig) => openReloads({ loaded, load, targets: [], audit: NO_AUDIT_LOG, clock: systemClock, closers });
  return { path, load, open, closers };
}

it('what is written while the process starts is taken as soon as it has', async () => {
  const { path, load, open, closers } = await fileWith('server: { logLevel: info }');
  const loaded = load();
  await writeFile(path, 'server: { logLevel: warn }');
  const reloader = open(loaded);
  await expect.poll(() => reloader.current().config.server.logLevel, PATIENT).toBe('warn');
  await closers.closeAll();
});

it('a file that became wrong while the process started is told, and ends nothing', async () => {
  const { path, load, open, closers } = await fileWith('server: { logLevel: info }');
  const loaded = load();
  await writeFile(path, 'server: { logLevel: loud }');
  const reloader = open(loaded);
  expect((await reloader.reload({ by: 'signal', who: 'SIGHUP' })).outcome).toBe('refused');
  expect(reloader.current()).toBe(loaded);
  await closers.closeAll();
});

it('a change of the file is taken, and none after the closing', async () => {
  const { path, load, open, closers } = await fileWith('server: { logLevel: info }');
  const reloader = open(load());
  await writeFile(path, 'server: { logLevel: warn }');
  await expect.poll(() => reloader.generation(), PATIENT).toBe(2);
  await closers.closeAll();
  await writeFile(path, 'server: { logLevel: error }');
  expect((await reloader.reload({ by: 'signal', who: 'SIGHUP' })).outcome).toBe('refused');
  expect(reloader.current().config.server.logLevel).toBe('warn');
});
