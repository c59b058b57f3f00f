import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installKafka } from './kafka/install.ts';
import { createKafkaNode, type KafkaNode } from './kafka/node.ts';
import { sweepLeftBehind } from './left-behind.ts';
import { freePorts } from './ports.ts';

export type { KafkaNode } from './kafka/node.ts';
export type Listener = 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL';

export interface KafkaClusterOptions {
  /** 1 by default; with 3, topics have three replicas and leaders can be killed. */
  readonly nodes?: number;
  /** Another release than that of kafka/pom.xml, for clients that the newest ones refuse. */
  readonly version?: string | undefined;
  /** Java heap of each node; 512 for one node, 256 for each of several. */
  readonly heapMb?: number;
  /** More lines of server.properties. */
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
  /** PEM texts; opens the SSL listener, which with `clientCa` asks for client certificates, and SASL_SSL when there are `users`. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa?: string };
  /** Name to password; opens the SASL_PLAINTEXT listener (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512). */
  readonly users?: Readonly<Record<string, string>>;
  readonly startTimeoutMs?: number;
}

/** A real Apache Kafka (KRaft) of one or more nodes on this machine, with its data in a temporary folder. */
export interface KafkaCluster {
  readonly nodes: readonly KafkaNode[];
  /** `host:port` of every node, for clients. */
  brokers(listener?: Listener): string[];
  /** Kills all nodes and removes the data. */
  stop(): Promise<void>;
}

/** Rejects with the reason when Kafka cannot be run here; see requireService. */
export const probeKafka = (): Promise<unknown> => installKafka();

/** Starts a cluster (2.5-4.5 s for one node, 10 s for three) after ending what a killed test process left behind. */
export async function startKafka(options: KafkaClusterOptions = {}): Promise<KafkaCluster> {
  const { nodes: count = 1, users, tls } = options;
  const left = sweepLeftBehind();
  if (left.length > 0) console.warn(`Ended servers that a killed test left behind: ${left.join(', ')}`);
  const jars = await installKafka(options.version);
  const dir = await mkdtemp(join(tmpdir(), 'troupe-kafka-'));
  const listeners = [
    'PLAINTEXT',
    'CONTROLLER',
    ...(tls ? ['SSL'] : []),
    ...(users ? ['SASL_PLAINTEXT', ...(tls ? ['SASL_SSL'] : [])] : []),
  ];
  const ports = await freePorts(count * listeners.length);
  const nodes = Array.from({ length: count }, (_, i) =>
    createKafkaNode({
      jars,
      dir: join(dir, `node-${i + 1}`),
      heapMb: options.heapMb ?? (count > 1 ? 256 : 512),
      startTimeoutMs: options.startTimeoutMs ?? 60_000,
      ports: Object.fromEntries(listeners.map((name, k) => [name, ports[i * listeners.length + k] ?? 0])),
      temporaryDir: dir,
    }),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.kill()));
    await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  try {
    const shared = await readFile(join(import.meta.dirname, 'kafka/server.properties'), 'utf8');
    await Promise.all(
      nodes.map((node, i) =>
        node.format(
          `${shared}${lines(nodeProperties(nodes, i, dir, listeners))}${lines(securityProperties(options))}${lines(options.properties ?? {})}`,
          users ?? {},
        ),
      ),
    );
    await Promise.all(nodes.map((node) => node.start())); // together: one of several is up only when a majority is
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, brokers: (listener = 'PLAINTEXT') => nodes.map((node) => `127.0.0.1:${node.ports[listener]}`), stop };
}

type Properties = Readonly<Record<string, string | number | boolean>>;
const lines = (properties: Properties): string => Object.entries(properties).map(([name, value]) => `${name}=${value}\n`).join(''); // prettier-ignore

function nodeProperties(nodes: readonly KafkaNode[], index: number, dir: string, listeners: readonly string[]): Properties {
  const urls = listeners.map((name) => `${name}://127.0.0.1:${nodes[index]?.ports[name]}`);
  const inSync = Math.min(2, nodes.length);
  return {
    'node.id': index + 1,
    'controller.quorum.voters': nodes.map((node, k) => `${k + 1}@127.0.0.1:${node.ports['CONTROLLER']}`).join(','),
    listeners: urls.join(','),
    'advertised.listeners': urls.filter((url) => !url.startsWith('CONTROLLER')).join(','),
    'log.dirs': join(dir, `node-${index + 1}`, 'data'),
    'default.replication.factor': nodes.length,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': nodes.length,
    'transaction.state.log.replication.factor': nodes.length,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': nodes.length,
    'share.coordinator.state.topic.min.isr': inSync,
  };
}

function securityProperties({ tls, users }: KafkaClusterOptions): Properties {
  const plainUsers = Object.entries(users ?? {}).map(([name, password]) => ` user_${name}="${password}"`);
  const module = (name: string, rest = ''): string => `org.apache.kafka.common.security.${name} required${rest};`;
  const logins = (listener: string): Properties => ({
    [`listener.name.${listener}.plain.sasl.jaas.config`]: module('plain.PlainLoginModule', plainUsers.join('')),
    [`listener.name.${listener}.scram-sha-256.sasl.jaas.config`]: module('scram.ScramLoginModule'),
    [`listener.name.${listener}.scram-sha-512.sasl.jaas.config`]: module('scram.ScramLoginModule'),
  });
  return {
    ...(tls && {
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.key': oneLine(tls.key),
      'ssl.keystore.certificate.chain': oneLine(tls.cert),
    }),
    ...(tls?.clientCa !== undefined && {
      'listener.name.ssl.ssl.client.auth': 'required',
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.certificates': oneLine(tls.clientCa),
    }),
    ...(users && { 'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512', ...logins('sasl_plaintext'), ...logins('sasl_ssl') }),
  };
}

/** In a properties file the lines of a PEM text are joined by an escaped line end. */
const oneLine = (pem: string): string => pem.trim().replaceAll('\n', '\\n');

// node test/services/kafka.ts [nodes]: a cluster to play with, until Ctrl-C.
if (import.meta.main) {
  const cluster = await startKafka({ nodes: Number(process.argv[2] ?? 1) });
  console.log(`brokers: ${cluster.brokers().join(',')}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void cluster.stop().then(() => process.exit(0)));
}
