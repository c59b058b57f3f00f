import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { neededTopics } from '../../../src/start/topics.ts';
import { instructionsOf } from '../../kit/dockerfile.ts';
import { captureManifests, type Manifest } from '../../kit/kubernetes.ts';

const manifests = captureManifests();
const the = (kind: string): Manifest => {
  const one = manifests.get(kind);
  if (one === undefined) throw new Error(`deploy/kubernetes/capture.yaml has no ${kind}`);
  return one;
};
const dockerfile = instructionsOf(readFileSync(join(import.meta.dirname, '../../../deploy/Dockerfile'), 'utf8'));
const imageEnv = Object.fromEntries(
  dockerfile.filter(({ name }) => name === 'ENV').map(({ rest }) => rest.split(/=(.*)/s).slice(0, 2) as [string, string]),
);
const { data } = the('ConfigMap');
const { config, notices } = loadConfig({ ...imageEnv, ...data });
const { template, replicas } = the('Deployment').spec;
const [pod = undefined] = template.spec.containers;
if (pod === undefined) throw new Error('no container');

const GiB = 1024 ** 3;
const bytesOf = (quantity: string): number =>
  Number.parseInt(quantity, 10) * { Gi: GiB, Mi: GiB / 1024 }[quantity.replace(/\d+/, '') as 'Gi' | 'Mi'];
const mountOf = (name: string): string | undefined => pod.volumeMounts?.find((mount) => mount.name === name)?.mountPath;

// That its probes are answered: test/integration/kubernetes.test.ts.
describe('rows 34, 19: deploy/kubernetes/capture.yaml', () => {
  it('is a service that is balanced, scaled, kept through disruptions and kept apart, with a volume that pods share', () => {
    expect([...manifests.keys()]).toEqual([
      'ConfigMap',
      'PersistentVolumeClaim',
      'Deployment',
      'Service',
      'HorizontalPodAutoscaler',
      'PodDisruptionBudget',
      'NetworkPolicy',
      'Job',
    ]);
    expect(replicas).toBe(2);
    expect(the('PersistentVolumeClaim').spec.accessModes).toEqual(['ReadWriteMany']);
  });

  it('gives settings that Troupe takes as they are, in production, each of them without a notice', () => {
    expect(config.server).toMatchObject({ mode: 'capture', environment: 'production' });
    expect(notices).toEqual([]);
    for (const { name } of pod.env ?? [])
      expect(() => loadConfig({ ...imageEnv, ...data, [name]: 'troupe-capture-5d9c-x2x4z' })).not.toThrow();
  });

  it('every object means the same pods', () => {
    const labels = template.metadata.labels;
    expect(the('Deployment').spec.selector).toEqual({ matchLabels: labels });
    expect(the('PodDisruptionBudget').spec.selector).toEqual({ matchLabels: labels });
    expect(the('NetworkPolicy').spec.podSelector).toEqual({ matchLabels: labels });
    expect(the('Service').spec.selector).toEqual(labels);
    expect(the('HorizontalPodAutoscaler').spec.scaleTargetRef).toMatchObject({ kind: 'Deployment', name: the('Deployment').metadata.name });
    expect(the('Job').spec.template.metadata.labels).not.toEqual(labels);
  });

  it('ports are where Troupe listens, and each that is named is one of them', () => {
    expect(pod.ports).toEqual([
      { name: 'http', containerPort: config.capture.port },
      { name: 'operations', containerPort: config.server.httpPort },
    ]);
    expect(the('Service').spec.ports.map(({ targetPort }) => targetPort)).toEqual(['http']);
    expect(the('NetworkPolicy').spec.ingress.map(({ ports, from }) => [ports[0]?.port, from !== undefined])).toEqual([
      ['http', false],
      ['operations', true],
    ]);
    expect(template.metadata.annotations['prometheus.io/port']).toBe(String(config.server.httpPort));
  });

  it('lets it reach the brokers, Redis and the name server', () => {
    const open = the('NetworkPolicy').spec.egress.flatMap(({ ports }) => ports.map(({ port }) => port));
    const wanted = [...config.kafka.hosts.map((host) => Number(host.split(':')[1])), Number(new URL(config.redis.url ?? '').port), 53];
    expect(wanted.filter((port) => !open.includes(port))).toEqual([]);
  });

  it('nobody is killed in a clean stop, and the stop is announced until the probes have seen it', () => {
    const { announceMs, graceMs } = config.shutdown;
    expect(template.spec.terminationGracePeriodSeconds * 1_000).toBeGreaterThan(graceMs);
    const { periodSeconds, timeoutSeconds = 1, failureThreshold } = pod.readinessProbe;
    expect(announceMs).toBeGreaterThanOrEqual((periodSeconds * failureThreshold + timeoutSeconds) * 1_000);
  });

  it('a start that waits for Kafka and Redis is not killed', () => {
    const { periodSeconds, failureThreshold } = pod.startupProbe;
    expect(periodSeconds * failureThreshold * 1_000).toBeGreaterThan(2 * config.server.contactTimeoutMs);
  });

  it('the spill is on the shared volume, by the name of the pod, and all pods fit into it', () => {
    expect(mountOf('spill')).toBe(config.capture.spillDir);
    const claim = template.spec.volumes.find(({ name }) => name === 'spill')?.persistentVolumeClaim?.claimName;
    expect(claim).toBe(the('PersistentVolumeClaim').metadata.name);
    expect(pod.env).toEqual([{ name: 'TROUPE_SPILL_INSTANCE', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }]);
    const pods = the('HorizontalPodAutoscaler').spec.maxReplicas + 1; // and one more in a rollout
    expect(bytesOf(the('PersistentVolumeClaim').spec.resources.requests.storage)).toBeGreaterThan(pods * config.capture.spillMaxBytes);
  });

  it('runs as the user of the image, who can write to volumes alone', () => {
    const [user = ''] = dockerfile.filter(({ name }) => name === 'USER').map(({ rest }) => rest);
    expect(template.spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: Number(user.split(':')[0]),
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(pod.securityContext).toEqual({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
    expect(mountOf('data')).toBe(config.server.dataDir);
    expect(mountOf('tmp')).toBe('/tmp');
  });

  it('row 19: asks for 200m; has limits', () => {
    expect(pod.resources.requests.cpu).toBe('200m');
    expect(Object.keys(pod.resources.limits)).toEqual(['cpu', 'memory']);
  });

  it('row 19: the topics are those that capture writes, with three partitions on two brokers', () => {
    const script = the('Job').spec.template.spec.containers[0]?.args?.join('') ?? '';
    const [, names = ''] = /for topic in ([^;]*);/s.exec(script) ?? [];
    expect(names.split(/[\s\\]+/).sort()).toEqual([...neededTopics(config), ...config.capture.putmessageTopics].sort());
    expect(script).toContain('--partitions 3 --replication-factor 2');
  });
});
