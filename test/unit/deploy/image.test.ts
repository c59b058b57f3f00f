import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { topicsOf } from '../../../src/start/topics.ts';
import { instructionsOf } from '../../kit/dockerfile.ts';

const ROOT = join(import.meta.dirname, '../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const project = JSON.parse(read('package.json')) as {
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly config: { readonly serviceFlags: readonly string[] };
};
const instructions = instructionsOf(read('deploy/Dockerfile'));
const only = (name: string): string[] => instructions.filter((one) => one.name === name).map(({ rest }) => rest);
const imageEnv = Object.fromEntries(only('ENV').map((rest) => rest.split(/=(.*)/s).slice(0, 2) as [string, string]));

// What is built of it, and how it runs: test/integration/image.test.ts.
describe('row 33: deploy/Dockerfile', () => {
  it('runs on the Node that npm start brings, pinned, with its flags', () => {
    const { node } = project.devDependencies;
    for (const from of only('FROM')) expect(from).toMatch(new RegExp(`^node:${node}-bookworm-slim( AS |$)`));
    const [entrypoint = '[]'] = only('ENTRYPOINT');
    expect(JSON.parse(entrypoint)).toEqual(['node', ...project.config.serviceFlags, 'src/main.ts']);
  });

  it('runs as a user by number, so that Kubernetes can see that it is not root', () => {
    expect(only('USER')).toEqual(['1000:1000']);
  });

  it('names the ports that are the defaults', () => {
    const { config } = loadConfig({});
    expect(only('EXPOSE')).toEqual([`${config.capture.port} ${config.server.httpPort}`]);
  });

  it('copies only what .dockerignore lets into the context, and the context holds nothing else', () => {
    const copied = only('COPY')
      .filter((rest) => !rest.includes('--from='))
      .flatMap((rest) => rest.split(' ').slice(0, -1));
    const [everything, ...letIn] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(everything).toBe('*');
    expect(letIn.map((line) => line.replace(/^!/, '')).sort()).toEqual([...new Set(copied)].sort());
  });
});

interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly command?: readonly string[];
  readonly image: string;
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly resources: { readonly limits: Readonly<Record<string, string>> } };
}

describe('row 33: deploy/compose.yaml', () => {
  const { services } = parse(read('deploy/compose.yaml')) as { readonly services: Readonly<Record<string, Service>> };
  const capture = services['capture'] as Service;
  const { config, notices } = loadConfig({ ...imageEnv, ...capture.environment });

  it('gives settings that Troupe takes as they are, in production', () => {
    expect(config.server).toMatchObject({ mode: 'capture', environment: 'production', dataDir: '/data' });
    expect(notices).toEqual([]);
  });

  it('publishes the ports that are the defaults, and metrics to this machine alone', () => {
    const { port } = config.capture;
    const { httpPort } = config.server;
    expect(capture.ports).toEqual([`${port}:${port}`, `127.0.0.1:${httpPort}:${httpPort}`]);
  });

  it('bounds what each server may take, keeps what is spilled, and writes nowhere else', () => {
    for (const name of ['capture', 'kafka', 'redis']) {
      expect(Object.keys(services[name]?.deploy?.resources.limits ?? {}), name).toEqual(['cpus', 'memory']);
    }
    expect(capture.volumes).toEqual([`capture:${config.server.dataDir}`]);
    expect(config.capture.spillDir).toBe('/data/spill');
    expect(capture.read_only).toBe(true);
  });

  it('waits longer for a stop than a clean one may take', () => {
    const [, seconds] = /^(\d+)s$/.exec(capture.stop_grace_period ?? '') ?? [];
    expect(Number(seconds) * 1_000).toBeGreaterThan(config.shutdown.graceMs);
  });

  it('makes the topics that /putmessage may write to: capture makes all others', () => {
    const made = /for topic in (.*); do/.exec(services['topics']?.command?.join('') ?? '')?.[1]?.split(' ');
    expect(made).toEqual([topicsOf(config).main, ...config.capture.putmessageTopics]);
  });
});
