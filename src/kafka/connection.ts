import kafkajs, { type KafkaConfig, type logLevel, type RetryOptions } from 'kafkajs';
import type { ConnectionOptions } from 'node:tls';
import { state } from '../observe/facts.ts';

/** How to reach Kafka; the same for every client in this folder. */
export interface KafkaConnection {
  /** `host:port` of some brokers; the rest is discovered. */
  readonly brokers: readonly string[];
  /** Shown in the broker's logs and quotas, and the beginning of member ids: the pod's name is a good one. */
  readonly clientId: string;
  /** True for the system's certificate authorities; options for own ones or a client certificate. */
  readonly ssl?: boolean | ConnectionOptions | undefined;
  readonly sasl?: KafkaSasl | undefined;
  /** How long one connection attempt may take. Default 1000: a dead broker must not hold up the search for a live one. */
  readonly connectionTimeoutMs?: number | undefined;
  /** How long one request may wait for its answer. Default 10,000. */
  readonly requestTimeoutMs?: number | undefined;
  /** The least severe remark of kafkajs that is stated as a fact. Default 'warn'. */
  readonly logLevel?: 'nothing' | 'error' | 'warn' | 'info' | 'debug' | undefined;
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  readonly username: string;
  readonly password: string;
}

/**
 * Retries are always passed: the defaults of kafkajs change with NODE_ENV, and give up for half a minute when a broker
 * is away for ten seconds (docs/measured.md). This is about one minute of attempts.
 */
export const PATIENT: Readonly<RetryOptions> = { initialRetryTime: 100, maxRetryTime: 1000, factor: 0.2, multiplier: 2, retries: 60 };

/** Attempts until the process ends: for what must not be given up. */
export const UNLIMITED: Readonly<RetryOptions> = { ...PATIENT, retries: Number.MAX_SAFE_INTEGER };

const LOG_LEVEL = {
  nothing: kafkajs.logLevel.NOTHING,
  error: kafkajs.logLevel.ERROR,
  warn: kafkajs.logLevel.WARN,
  info: kafkajs.logLevel.INFO,
  debug: kafkajs.logLevel.DEBUG,
} as const;

/** The options of a kafkajs client for a connection. Its warnings and errors become facts. */
export function kafkajsConfig(connection: KafkaConnection, retry: Readonly<RetryOptions>): KafkaConfig {
  return {
    brokers: [...connection.brokers],
    clientId: connection.clientId,
    connectionTimeout: connection.connectionTimeoutMs ?? 1000,
    requestTimeout: connection.requestTimeoutMs ?? 10_000,
    retry: { ...retry },
    logLevel: LOG_LEVEL[connection.logLevel ?? 'warn'],
    logCreator: () => (entry) => {
      const { message, error, groupId, topic, partition } = entry.log as { message: string } & Record<string, unknown>;
      const fields = { namespace: entry.namespace, said: message, error: describe(error), groupId, topic, partition };
      state('log-written', { level: levelOf(entry.level), message: 'The Kafka client reports.', fields });
    },
    ...(connection.ssl !== undefined && { ssl: connection.ssl }),
    ...(connection.sasl !== undefined && { sasl: { ...connection.sasl } as NonNullable<KafkaConfig['sasl']> }),
  };
}

/** Every error of kafkajs is followed by a retry or by an event that we handle: none needs a person by itself. */
function levelOf(level: logLevel): 'debug' | 'info' | 'warn' {
  return level <= kafkajs.logLevel.WARN ? 'warn' : level === kafkajs.logLevel.INFO ? 'info' : 'debug';
}

function describe(error: unknown): string | undefined {
  return error === undefined ? undefined : asError(error).message;
}

/** The protocol's name of an error (`ILLEGAL_GENERATION`), or undefined when it is no answer of a broker. */
export function protocolErrorOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { type } = at as { type?: unknown };
    if (typeof type === 'string') return type;
  }
  return undefined;
}

export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
