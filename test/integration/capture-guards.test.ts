import { createHmac, randomUUID } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { makeAuthority, probeOpenssl, type Authority, type Identity } from '../services/certificates.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { freePort } from '../services/ports.ts';
import { readTopic } from '../services/read-topic.ts';
import { TOPIC, until } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const kafka = await requireService('kafka', probeKafka);
const openssl = await requireService('openssl', probeOpenssl);
const LIMIT_MS = 30_000;
const SECRET = 'a secret of the test';
const EXAMPLES = join(import.meta.dirname, '../../examples/capture-plugins');

interface Answered {
  readonly status: number | undefined;
  readonly body: string;
  /** Of the certificate that the connection was shown. */
  readonly serial: string;
}

/** All guards at once in the process that an operator starts, from one configuration file (spec/capture.md 16.1, rows 31, 32, 36). */
describe.skipIf(!kafka.available || !openssl.available)('guards of capture', () => {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-test-guards-'));
  const at = (name: string): string => join(dir, name);
  let authority: Authority;
  let cluster: KafkaCluster;
  let admin: TopicAdmin;
  let troupe: TroupeProcess;
  let port: number;

  const show = ({ certFile, keyFile }: Identity): void => {
    copyFileSync(certFile, at('tls.crt'));
    copyFileSync(keyFile, at('tls.key'));
  };

  beforeAll(async () => {
    [authority, cluster, port] = await Promise.all([makeAuthority('the authority of the test'), startKafka(), freePort()]);
    admin = createKafkaAdmin({ connection: { brokers: cluster.brokers(), clientId: 'test' }, clock: systemClock });
    show(await authority.server('first', ['IP:127.0.0.1']));
    writeFileSync(at('tokens.json'), '{"phc_new":true,"phc_old":"phc_new"}');
    writeFileSync(
      at('troupe.yaml'),
      `
server:
  mode: capture
kafka:
  hosts: [${cluster.brokers().join(', ')}]
capture:
  port: ${port}
  spillDir: ${at('spill')}
guards:
  tlsCert: ${at('tls.crt')}
  tlsKey: ${at('tls.key')}
  signing: required
  signingKeys: ['test:${SECRET}']
  removeProperties: [password]
  maskDetect: [emails]
  clientIp: anonymise
plugins:
  - module: ${join(EXAMPLES, 'known-tokens.ts')}
    kind: auth
    config: { file: ${at('tokens.json')} }
  - module: ${join(EXAMPLES, 'add-region.ts')}
    kind: data
    config: { region: eu }
  - module: ${join(EXAMPLES, 'keep-in-file.ts')}
    kind: storage
    config: { file: ${at('mirror.jsonl')}, role: mirror }
`,
    );
    troupe = await startTroupe({ env: { TROUPE_CONFIG_FILE: at('troupe.yaml'), TROUPE_CAPTURE_PORT: String(port) } });
  });
  afterAll(async () => {
    await troupe?.kill();
    await admin?.close();
    await cluster?.stop();
    authority?.remove();
    rmSync(dir, { recursive: true, force: true });
  });

  function post(
    token: string,
    events: readonly object[],
    options: { readonly agent?: Agent; readonly secret?: string } = {},
  ): Promise<Answered> {
    const { agent = new Agent({ keepAlive: false }), secret = SECRET } = options;
    const body = JSON.stringify({ api_key: token, batch: events });
    const t = Math.floor(Date.now() / 1000);
    const v1 = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex');
    const headers = { 'X-Troupe-Signature': `t=${t},v1=${v1}`, 'X-Forwarded-For': '203.0.113.77' };
    return new Promise((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port, path: '/batch/', method: 'POST', ca: authority.cert, agent, headers },
        (response) => {
          const { serialNumber: serial } = (response.socket as TLSSocket).getPeerCertificate();
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks).toString(), serial }));
        },
      );
      asked.on('error', reject).end(body);
    });
  }
  const stored = async (): Promise<readonly Record<string, unknown>[]> => {
    const records = await readTopic({ brokers: cluster.brokers(), clientId: 'reader' }, admin, TOPIC, LIMIT_MS);
    return records.map(({ key, value }) => {
      const { data, ip } = JSON.parse(value?.toString() ?? '{}') as { data: string; ip: string };
      return { key: key?.toString(), ip, ...(JSON.parse(data) as object) };
    });
  };

  test('what is signed, known and allowed is stored masked and completed, and mirrored; nothing else is', async () => {
    const event = { event: 'signed', distinct_id: 'ann@x.org', properties: { password: 'x', note: 'mail ann@x.org', n: 1 } };
    expect((await post('phc_old', [event, { ...event, properties: { $host: 'localhost' } }])).status).toBe(200);
    expect(await post('phc_old', [event], { secret: 'of somebody else' })).toMatchObject({
      status: 401,
      body: 'request signature is not valid: wrong',
    });
    expect(await post('phc_unknown', [event])).toMatchObject({ status: 401, body: 'request is not allowed: this token is not known here' });
    expect(await stored()).toEqual([
      expect.objectContaining({
        key: 'phc_new:ann@x.org',
        ip: '203.0.113.0',
        event: 'signed',
        distinct_id: 'ann@x.org',
        properties: { note: 'mail ***', n: 1, capture_region: 'eu' },
      }),
    ]);
    await until(() => readFileSync(at('mirror.jsonl'), 'utf8').split('\n').length === 2, 'the mirror has it', LIMIT_MS);
    expect(await troupe.metric('troupe_capture_signatures_total', 'outcome="valid",key="test"')).toBe(2);
    expect(await troupe.metric('troupe_capture_plugin_calls_total', 'plugin="add-region",outcome="done"')).toBe(2);
    expect(await troupe.metric('capture_events_dropped_total', 'cause="plugin"')).toBe(1);
  });

  test('a certificate that is renewed under load fails no request; a stop fails none either, and closes the plugins', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    onTestFinished(() => agent.destroy());
    const before = (await post('phc_new', [])).serial;
    const renewed = await authority.server('second', ['IP:127.0.0.1']);
    const statuses = new Map<number | undefined, number>();
    let isOver = false;
    const loads = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const event = { event: 'under load', distinct_id: 'bob', uuid: randomUUID() };
        const { status } = await post('phc_new', [event], { agent });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    show(renewed);
    await until(async () => (await post('phc_new', [])).serial !== before, 'the new certificate is shown', LIMIT_MS);
    isOver = true;
    await Promise.all(loads);
    expect([...statuses.keys()]).toEqual([200]);
    expect(statuses.get(200)).toBeGreaterThan(20);
    expect(await troupe.metric('troupe_http_certificate_expires_timestamp_seconds')).toBeGreaterThan(Date.now() / 1_000);
    // A mirror misses what comes while it is too slow, and it is counted.
    const missed = await troupe.metric('troupe_capture_plugin_calls_total', 'plugin="keep-in-file",outcome="skipped"');
    expect((await troupe.stop()).code).toBe(0);
    // The file was closed after its last write: every other event of the load is in it.
    const mirrored = readFileSync(at('mirror.jsonl'), 'utf8').split('\n').length - 2;
    expect(mirrored + (Number.isNaN(missed) ? 0 : missed)).toBe(statuses.get(200));
  });
});
