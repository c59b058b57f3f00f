import type { Config } from '../../config/schema.ts';
import type { ContactTarget } from './contact.ts';
import type { Address } from './listener-probe.ts';

/** What an operator reads and looks at when a system cannot be used: one target for each, from the settings in force. */
export function kafkaTarget({ kafka }: Config): ContactTarget {
  return {
    what: `Kafka at ${kafka.hosts.join(', ')}`,
    settings: {
      address: 'KAFKA_HOSTS',
      encryption: 'KAFKA_SECURITY_PROTOCOL, KAFKA_HOSTS',
      authority: 'KAFKA_TRUSTED_CERT_B64',
      clientCertificate: 'KAFKA_CLIENT_CERT_B64, KAFKA_CLIENT_CERT_KEY_B64',
      login: 'KAFKA_SASL_USER, KAFKA_SASL_PASSWORD, KAFKA_SASL_MECHANISM, KAFKA_SECURITY_PROTOCOL',
    },
    addresses: kafka.hosts.map((host) => addressOf(`tcp://${host}`, 9092)),
    usesTls: kafka.securityProtocol === 'ssl' || kafka.securityProtocol === 'sasl_ssl',
    ...(kafka.securityProtocol.startsWith('sasl')
      ? {}
      : { hangsUp: { headline: 'it hangs up at the first question, as a listener does that wants a login', remedy: 'login' } }),
  };
}

/** @param url the address in force, DATABASE_URL; undefined for the embedded server. */
export function postgresTarget(url: string | undefined): ContactTarget {
  if (url === undefined)
    return { what: 'the embedded PostgreSQL', settings: { address: 'TROUPE_DATA_DIR' }, addresses: [], usesTls: false };
  const address = new URL(url.replace('@/', '@localhost/')); // a socket's form has no host, and new URL() refuses that
  return {
    what: `PostgreSQL at ${address.searchParams.get('host') ?? address.host}`,
    settings: {
      address: 'DATABASE_URL',
      encryption: 'sslmode in DATABASE_URL',
      authority: 'TROUPE_POSTGRES_CA',
      clientCertificate: 'sslcert and sslkey in DATABASE_URL',
      login: 'DATABASE_URL',
    },
    addresses: [], // TLS is agreed upon inside the protocol: the port by itself shows nothing
    usesTls: false,
  };
}

/** @param url and user: as in force, where the embedded engine's are not settings. */
export function clickHouseTarget({
  url,
  user,
  database,
}: {
  readonly url: string;
  readonly user: string;
  readonly database: string;
}): ContactTarget {
  const usesTls = url.startsWith('https:');
  return {
    what: `ClickHouse at ${url}, database ${database}, user ${user},`,
    settings: {
      address: 'CLICKHOUSE_HOST, CLICKHOUSE_DATABASE, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD',
      encryption: 'CLICKHOUSE_SECURE, CLICKHOUSE_HOST',
      authority: 'CLICKHOUSE_CA',
      login: 'CLICKHOUSE_USER, CLICKHOUSE_PASSWORD',
    },
    addresses: [addressOf(url, usesTls ? 443 : 80)],
    usesTls,
  };
}

/** @param url REDIS_URL, or the path of a unix socket. */
export function redisTarget(url: string): ContactTarget {
  const address = URL.parse(url);
  return {
    what: `Redis at ${address?.host ?? url}`,
    settings: { address: 'REDIS_URL', encryption: 'REDIS_URL (rediss:// is TLS)', authority: 'TROUPE_REDIS_CA', login: 'REDIS_URL' },
    addresses: address === null ? [] : [addressOf(url, 6379)],
    usesTls: url.startsWith('rediss:'),
  };
}

/** Host and port of an address, for a look at what listens there. */
function addressOf(url: string, defaultPort: number): Address {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) };
}
