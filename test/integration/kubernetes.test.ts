import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { captureManifests, type Probe } from '../kit/kubernetes.ts';
import { freePort } from '../services/ports.ts';
import { until } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const manifests = captureManifests();
const [pod] = manifests.get('Deployment')?.spec.template.spec.containers ?? [];
if (pod === undefined) throw new Error('deploy/kubernetes/capture.yaml has no container');

/** A process with the settings of the manifest and other addresses, asked what the kubelet asks; Kafka is away. */
describe('rows 34, 19: the probes of deploy/kubernetes/capture.yaml', () => {
  let dir: string;
  let troupe: TroupeProcess;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-kubernetes-'));
    const { REDIS_URL: _, TROUPE_CAPTURE_DEDUPE_MS: __, ...data } = manifests.get('ConfigMap')?.data ?? {};
    troupe = await startTroupe({
      env: {
        ...data,
        NODE_ENV: 'production',
        KAFKA_HOSTS: `127.0.0.1:${await freePort()}`,
        TROUPE_CONTACT_TIMEOUT_MS: '1000',
        TROUPE_SPILL_DIR: join(dir, 'spill'),
        // enough for this test
        TROUPE_SHUTDOWN_ANNOUNCE_MS: '1500',
        TROUPE_SHUTDOWN_CLOSE_MS: '1000',
      },
    });
  });
  afterAll(async () => {
    await troupe?.kill();
    rmSync(dir, { recursive: true, force: true });
  });

  const ask = async ({ httpGet: { path, port } }: Probe): Promise<number> => {
    const base = { http: troupe.urls.capture, operations: troupe.urls.operations }[port];
    const response = await fetch(`${base ?? port}${path}`, { headers: { 'user-agent': 'kube-probe/1.31' } });
    await response.arrayBuffer();
    return response.status;
  };
  const post = async (): Promise<number> =>
    (await fetch(`${troupe.urls.capture}/e/`, { method: 'POST', body: '{"api_key":"phc_x","event":"a","distinct_id":"u"}' })).status;

  test('are answered by a pod that works, also while Kafka is away', async () => {
    expect(await Promise.all([pod.startupProbe, pod.readinessProbe, pod.livenessProbe].map(ask))).toEqual([200, 200, 200]);
    expect(await post()).toBe(200);
  });

  test('a pod that is told to stop says so first, and takes what still comes: no preStop hook is needed', async () => {
    const beganAt = performance.now();
    const stopped = troupe.stop();
    await until(async () => (await ask(pod.readinessProbe)) === 503, 'readiness says no', 5_000);
    expect([await ask(pod.livenessProbe), await post()]).toEqual([200, 200]);
    expect(await stopped).toEqual({ code: 0, signal: null });
    // What the producer still holds for a Kafka that is away is in the spill: nobody waits for its 30 s.
    expect(performance.now() - beganAt).toBeLessThan(15_000);
  });
});
