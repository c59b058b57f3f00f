import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { freePorts } from '../services/ports.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const kafka = await requireService('kafka', probeKafka);
const LIMIT_MS = 30_000;
const TOKEN = 'integration-test-token';
const MAIN = 'events_plugin_ingestion';

/** Rows 27, 32, 37, 38 of spec/capture.md 16.1 on the product itself: settings from a file, other ones while it serves. */
describe.skipIf(!kafka.available)('the settings of a running capture', () => {
  let cluster: KafkaCluster;
  let admin: TopicAdmin;
  let troupe: TroupeProcess;
  let dir: string;
  let adminUrl: string;

  /** As editors and Kubernetes do it: another file under the same name. */
  async function configure(settings: Readonly<Record<string, object>>): Promise<void> {
    const text = JSON.stringify({ kafka: { hosts: cluster.brokers() }, server: { mode: 'capture' }, ...settings });
    await writeFile(join(dir, 'next.yaml'), text);
    await rename(join(dir, 'next.yaml'), join(dir, 'troupe.yaml'));
  }
  const generation = () => troupe.metric('troupe_config_generation');
  const until = (holds: () => Promise<boolean>) => expect.poll(holds, { timeout: LIMIT_MS, interval: 5 }).toBe(true);

  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  /** Resolves with the status. */
  const post = (token: string, event = 'a') =>
    new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${troupe.urls.capture}/e`, { method: 'POST', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      request.on('error', reject).end(JSON.stringify({ token, event, distinct_id: 'u1' }));
    });
  const stored = async (): Promise<number> => (await admin.endOffsets(MAIN)).reduce((sum, { offset }) => sum + offset, 0);
  const asked = (path: string, init: RequestInit = {}) =>
    fetch(`${adminUrl}${path}`, { ...init, headers: { Authorization: `Bearer ${TOKEN}` } });

  beforeAll(async () => {
    cluster = await startKafka();
    admin = createKafkaAdmin({ connection: { brokers: cluster.brokers(), clientId: 'test' }, clock: systemClock });
    dir = await mkdtemp(join(tmpdir(), 'troupe-reload-'));
    await configure({});
    const [port] = await freePorts(1);
    adminUrl = `http://127.0.0.1:${port}`;
    troupe = await startTroupe({
      args: ['--config', join(dir, 'troupe.yaml')],
      env: {
        TROUPE_ADMIN_PORT: String(port),
        TROUPE_ADMIN_TOKEN: `tester:${TOKEN}`,
        TROUPE_AUDIT_LOG: join(dir, 'audit.jsonl'),
        TROUPE_SPILL_DIR: join(dir, 'spill'),
      },
    });
  });
  afterAll(async () => {
    agent.destroy();
    await troupe?.kill();
    await admin?.close();
    await cluster?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  test('row 38: fifty reloads by SIGHUP under load fail no request, and every event is stored', async () => {
    let reloads = 0;
    const statuses: number[] = [];
    const clients = Array.from({ length: 16 }, async () => {
      while (reloads < 50) statuses.push(await post('good'));
    });
    while (reloads < 50) {
      await configure({ ingestion: { dropByTokenDistinctId: [`other-${reloads}`] } });
      process.kill(troupe.pid, 'SIGHUP');
      reloads++;
      await until(async () => (await generation()) > reloads);
    }
    await Promise.all(clients);
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(statuses.length).toBeGreaterThan(100);
    expect(await stored()).toBe(statuses.length);
    // Now and then the watch of the file is quicker than the signal, and two signals that wait are one (R5).
    expect(await troupe.metric('troupe_config_reloads_total', 'outcome="applied"')).toBe(50);
    expect(await troupe.metric('troupe_config_reloads_total', 'by="signal"')).toBeGreaterThan(25);
  });

  test('row 38: a change of the file is taken by itself; what needs a restart is named, and waits', async () => {
    const before = await generation();
    await configure({ ingestion: { dropByTokenDistinctId: ['noisy'] }, server: { mode: 'capture', httpPort: 1 } });
    await until(async () => (await generation()) === before + 1);
    expect([await post('noisy'), await post('good')]).toEqual([200, 200]);
    expect(await troupe.metric('capture_events_dropped_total', 'token_dropper')).toBe(1);
    // The port stands in the environment, which goes before the file.
    expect(await troupe.metric('troupe_config_restart_needed')).toBe(0);
    await configure({ ingestion: { dropByTokenDistinctId: ['noisy'] }, shutdown: { flushMs: 1 }, capture: { bodyBytes: 100_000 } });
    await until(async () => (await troupe.metric('troupe_config_restart_needed')) === 1);
    expect(troupe.output()).toContain('TROUPE_SHUTDOWN_FLUSH_MS');
  });

  test('row 38: a broken file changes nothing, and the log says what is wrong and where', async () => {
    const [before, events] = [await generation(), await stored()];
    await writeFile(join(dir, 'troupe.yaml'), 'server:\n  mode: capture\n  logLevel: loud\ncapture:\n  bodyByte: 1\n');
    await until(async () => (await troupe.metric('troupe_config_reloads_total', 'outcome="refused"')) === 1);
    expect(await generation()).toBe(before);
    expect(troupe.output()).toMatch(/LOG_LEVEL loud \(.*troupe\.yaml:3\)/);
    expect(troupe.output()).toMatch(/capture\.bodyByte \(.*troupe\.yaml:5\): did you mean bodyBytes\?/);
    expect([await post('noisy'), await post('good')]).toEqual([200, 200]);
    expect(await stored()).toBe(events + 1); // the old drop list stands
    await configure({ ingestion: { dropByTokenDistinctId: ['noisy'] }, shutdown: { flushMs: 1 }, capture: { bodyBytes: 100_000 } });
    await until(async () => (await troupe.metric('troupe_config_reloads_total', 'by="file",outcome="unchanged"')) >= 1);
  });

  test('rows 27, 32: the admin server wants its token, shows settings without secrets, reloads, and turns up the log', async () => {
    expect((await fetch(`${adminUrl}/config`)).status).toBe(401);
    const config = await (await asked('/config')).text();
    expect(config).not.toContain(TOKEN);
    expect(config).toContain(`config ${join(dir, 'troupe.yaml')}:1`);

    const before = await generation();
    await configure({}); // the folder is watched: this and the watch are one reload, whichever comes first
    const report = (await (await asked('/reload', { method: 'POST' })).json()) as { readonly generation: number };
    expect(report.generation).toBe(before + 1);
    expect(await post('noisy')).toBe(200);
    expect(await troupe.metric('capture_events_dropped_total', 'token_dropper')).toBe(2);

    const put = await asked('/log-level', { method: 'PUT', body: '{"level":"debug","minutes":1}' });
    expect(await put.json()).toMatchObject({ level: 'debug', configured: 'info' });
    await post('good');
    await until(() => Promise.resolve(troupe.output().includes('Capture answered a request.')));
  });

  test('row 32: the audit log has every reload with its cause, and what changed', async () => {
    const text = await readFile(join(dir, 'audit.jsonl'), 'utf8');
    const lines = text.trimEnd().split('\n');
    const entries = lines.map(
      (line) => JSON.parse(line) as { readonly by: string; readonly who: string; readonly outcome: string; readonly action: string },
    );
    const count = (by: string, outcome: string): number => entries.filter((entry) => entry.by === by && entry.outcome === outcome).length;
    expect(entries.filter(({ action }) => action === 'reload')).toHaveLength(await troupe.metric('troupe_config_reloads_total'));
    expect(count('signal', 'applied')).toBe(await troupe.metric('troupe_config_reloads_total', 'by="signal",outcome="applied"'));
    expect(count('file', 'refused')).toBe(1);
    expect(entries.at(-1)).toMatchObject({ by: 'admin', who: 'tester', action: 'log-level', outcome: 'applied' });
    expect(text).not.toContain(TOKEN);
  });

  test('SH-1: with a configuration file, SIGHUP does not stop it and SIGTERM does', async () => {
    process.kill(troupe.pid, 'SIGHUP');
    expect(await post('good')).toBe(200);
    expect(await troupe.stop()).toEqual({ code: 0, signal: null });
  });
});
