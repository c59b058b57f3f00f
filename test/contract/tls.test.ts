import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assemble } from '../../src/start/assemble.ts';
import { createClosers } from '../../src/start/closers.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ContactError } from '../../src/start/contact/contact.ts';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { KafkaConnection } from '../../src/kafka/connection.ts';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import { tryKafka } from '../../src/kafka/first-contact.ts';
import type { RecordProducer } from '../../src/kafka/port.ts';
import { createKafkajsProducer } from '../../src/kafka/producer-kafkajs.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { kafkaConnection } from '../../src/start/open-kafka.ts';
import { createPostgresClient } from '../../src/postgres/client.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { makeAuthority, probeOpenssl, type Authority, type Identity } from '../services/certificates.ts';
import { startClickHouse, type TestClickHouse } from '../services/clickhouse.ts';
import { startKafka, type KafkaCluster } from '../services/kafka.ts';
import { freePort } from '../services/ports.ts';
import { startTlsPostgres, type TlsPostgres } from '../services/postgres-tls.ts';
import { startRedis, type TestRedis } from '../services/redis.ts';
import { postgresKind, requireSurroundings, until } from '../services/surroundings.ts';
import { startTlsFront, type TlsFront } from '../services/tls-front.ts';
import { spawnTroupe, startTroupe } from '../services/troupe.ts';

/**
 * Every outside system behind TLS, as an operator sets it up: settings in, answers out. The first suite shows that the right settings
 * work with each client; the second, that each wrong one is told by name, with the setting to correct.
 */
const surroundings = await requireSurroundings();
const openssl = await requireService('openssl', probeOpenssl);

const PASSWORD = 'for tests: p@ss/word';
const USER = 'ann';
const TOKEN = 'phc_tls';
const TOLD_WITHIN_MS = 15_000;

describe.skipIf(!surroundings.available || !openssl.available)('TLS and logins', () => {
  const ends: (() => unknown)[] = [];
  const dataDir = mkdtempSync(join(tmpdir(), 'troupe-test-tls-'));
  let authority: Authority;
  let stranger: Authority;
  let client: Identity;
  let kafka: KafkaCluster;
  let postgres: TlsPostgres;
  let clickhouse: TestClickHouse;
  let clickhouseFront: TlsFront;
  /** The same with a certificate for another name. */
  let misnamedFront: TlsFront;
  let redis: TestRedis;
  /** Settings that are right in every respect. */
  let right: Readonly<Record<string, string>>;

  const base64 = (pem: string): string => Buffer.from(pem).toString('base64');
  const databaseUrl = (password = PASSWORD, query = ''): string =>
    `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${postgres.port}/postgres${query}`;
  const redisUrl = (password = PASSWORD): string => redis.url.replace('://', `://:${encodeURIComponent(password)}@`);
  const certificates = (of: Identity): Record<string, string> => ({
    KAFKA_CLIENT_CERT_B64: base64(of.cert),
    KAFKA_CLIENT_CERT_KEY_B64: base64(of.key),
  });
  const login = (mechanism: string, password = PASSWORD): Record<string, string> => ({
    KAFKA_HOSTS: kafka.brokers('SASL_SSL').join(','),
    KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
    KAFKA_SASL_MECHANISM: mechanism,
    KAFKA_SASL_USER: USER,
    KAFKA_SASL_PASSWORD: password,
  });

  async function kept<T>(starting: Promise<T>, end: (started: T) => unknown): Promise<T> {
    const started = await starting;
    ends.unshift(() => end(started));
    return started;
  }

  beforeAll(async () => {
    authority = await kept(makeAuthority('the authority of the test'), (it) => it.remove());
    stranger = await kept(makeAuthority('an authority that nobody trusts'), (it) => it.remove());
    client = await authority.client('bob');
    const server = await authority.server('server', ['IP:127.0.0.1', 'DNS:localhost']);
    const port = await freePort();
    [kafka, postgres, clickhouse, redis] = await Promise.all([
      kept(startKafka({ tls: { ...server, clientCa: authority.cert }, users: { [USER]: PASSWORD } }), (it) => it.stop()),
      kept(
        startTlsPostgres(await postgresKind(), {
          identity: server,
          clientCaFile: authority.certFile,
          user: USER,
          password: PASSWORD,
          certificateUser: 'bob',
        }),
        (it) => it.stop(),
      ),
      kept(startClickHouse(), (it) => it.stop()),
      kept(startRedis({ port, tls: server, password: PASSWORD }), (it) => it.stop()),
    ]);
    clickhouseFront = await kept(startTlsFront(Number(new URL(clickhouse.url).port), server), (it) => it.stop());
    const misnamed = await authority.server('misnamed', ['DNS:elsewhere.example']);
    misnamedFront = await kept(startTlsFront(Number(new URL(clickhouse.url).port), misnamed), (it) => it.stop());
    right = {
      KAFKA_HOSTS: kafka.brokers('SSL').join(','),
      KAFKA_SECURITY_PROTOCOL: 'SSL',
      KAFKA_TRUSTED_CERT_B64: base64(authority.cert),
      ...certificates(client),
      DATABASE_URL: databaseUrl(PASSWORD, '?sslmode=verify-full'),
      TROUPE_POSTGRES_CA: authority.certFile,
      CLICKHOUSE_HOST: `127.0.0.1:${clickhouseFront.port}`,
      CLICKHOUSE_SECURE: 'true',
      CLICKHOUSE_CA: authority.cert,
      CLICKHOUSE_USER: clickhouse.user,
      CLICKHOUSE_PASSWORD: clickhouse.password,
      REDIS_URL: redisUrl(),
      TROUPE_REDIS_CA: authority.certFile,
      TROUPE_REDIS_TIMEOUT_MS: '5000',
    };
  });
  afterAll(async () => {
    for (const end of ends) await end();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const connectionOf = (env: Readonly<Record<string, string>>): KafkaConnection => kafkaConnection(loadConfig({ ...right, ...env }).config);

  describe('with the right settings', () => {
    test.each([
      ['SSL with a client certificate', () => ({})],
      [
        'SSL with a client certificate and its key swapped (sharp edge 30)',
        () => ({ KAFKA_CLIENT_CERT_B64: base64(client.key), KAFKA_CLIENT_CERT_KEY_B64: base64(client.cert) }),
      ],
      ['SASL_SSL with PLAIN', () => login('PLAIN')],
      ['SASL_SSL with SCRAM-SHA-256', () => login('SCRAM-SHA-256')],
      ['SASL_SSL with SCRAM-SHA-512', () => login('SCRAM-SHA-512')],
    ])('Kafka over %s: both producers write, the consumer reads and commits, the admin client sees it', async (name, env) => {
      const connection = connectionOf(env());
      const topic = `tls-${name.replaceAll(/\W+/g, '-')}`;
      const clock = systemClock;
      const admin = createKafkaAdmin({ connection, clock });
      const producers: RecordProducer[] = [createKafkaProducer({ connection, clock }), createKafkajsProducer({ connection, clock })];
      const consumer = createKafkaConsumer({ connection, clock, groupId: topic, topics: [topic] });
      try {
        await admin.ensureTopics([{ topic, partitions: 1 }]);
        for (const [index, producer] of producers.entries()) await producer.send(topic, [{ key: null, value: Buffer.from(`by ${index}`) }]);
        const read: string[] = [];
        let generation = 0;
        const failed = Promise.withResolvers<never>();
        await consumer.start({
          assigned: () => Promise.resolve(),
          batch: (batch) => {
            generation = batch.generation;
            read.push(...batch.records.map(({ value }) => String(value)));
            return Promise.resolve();
          },
          revoked: () => Promise.resolve(),
          crashed: (error) => failed.reject(error),
        });
        await Promise.race([until(() => read.length === 2, 'both records are read', 20_000), failed.promise]);
        expect(read).toEqual(['by 0', 'by 1']);
        expect(await consumer.commit(generation, [{ topic, partition: 0, offset: 2 }])).toBe('committed');
        expect(await admin.committedOffsets(topic, topic)).toEqual([{ partition: 0, offset: 2 }]);
      } finally {
        await Promise.all([consumer.stop(), ...producers.map((producer) => producer.close())]);
        await admin.close();
      }
    });

    test('Kafka: a broker that is away does not keep from the others', async () => {
      const away = `127.0.0.1:${await freePort()}`;
      await expect(tryKafka(connectionOf({ KAFKA_HOSTS: `${away},${right['KAFKA_HOSTS']}` }))).resolves.toBeUndefined();
      await expect(tryKafka(connectionOf({ KAFKA_HOSTS: `${right['KAFKA_HOSTS']},${away}` }))).resolves.toBeUndefined();
    });

    test.each([
      ['a certificate of the authority and the name', () => databaseUrl(), () => ({ ca: authority.cert })],
      ['the authority named in the address', () => databaseUrl(PASSWORD, `?sslmode=require&sslrootcert=${authority.certFile}`), () => ({})],
      ['any certificate, when sslmode says so', () => databaseUrl(PASSWORD, '?sslmode=no-verify'), () => ({})],
      [
        'any certificate, when TROUPE_TLS_UNVERIFIED says so',
        () => databaseUrl(PASSWORD, '?sslmode=require'),
        () => ({ isVerified: false }),
      ],
      [
        'a client certificate in place of a password',
        () =>
          `postgres://bob@127.0.0.1:${postgres.port}/postgres?sslmode=verify-full&sslcert=${client.certFile}&sslkey=${client.keyFile}&sslrootcert=${authority.certFile}`,
        () => ({}),
      ],
    ])('PostgreSQL: %s', async (_, url, options) => {
      const database = createPostgresClient({ connectionString: url(), ...options(), clock: systemClock, random: systemRandom });
      try {
        const text = 'SELECT ssl::text AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()';
        expect(await database.run({ name: 'encrypted', text }, [])).toEqual([{ encrypted: 'true' }]);
      } finally {
        await database.close();
      }
    });

    test('the whole process: an event goes in over HTTP and comes out of ClickHouse, with every connection encrypted', async () => {
      const troupe = await startTroupe({ env: right });
      try {
        const database = createPostgresClient({
          connectionString: right['DATABASE_URL'] ?? '',
          ca: authority.cert,
          clock: systemClock,
          random: systemRandom,
        });
        ends.unshift(() => database.close());
        await seedTeam(database, { token: TOKEN });
        const answer = await fetch(`${troupe.urls.capture}/capture/`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ api_key: TOKEN, event: 'encrypted', distinct_id: 'ann', properties: { $set: { name: 'Ann' } } }),
        });
        expect(answer.status).toBe(200);
        const rows = clickhouse.client();
        const stored = (): Promise<unknown[]> => rows.query("SELECT event FROM events WHERE distinct_id = 'ann'");
        await until(async () => (await stored()).length > 0, 'the event is stored', 20_000);
        expect(await stored()).toEqual([{ event: 'encrypted' }]);
        expect(troupe.output()).not.toContain('State store unavailable');
      } finally {
        expect((await troupe.stop()).code).toBe(0);
      }
    });
  });

  interface Case {
    readonly name: string;
    readonly env: () => Readonly<Record<string, string>>;
    /** The system and its address, what was seen, the setting. */
    readonly says: readonly (string | RegExp)[];
  }
  const wrong: readonly Case[] = [
    {
      name: 'Kafka: an authority that did not sign the certificate',
      env: () => ({ KAFKA_TRUSTED_CERT_B64: base64(stranger.cert) }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'an authority that is not trusted here', 'correct KAFKA_TRUSTED_CERT_B64'],
    },
    {
      name: 'Kafka: no authority at all, and none of the system signed it',
      env: () => ({ KAFKA_TRUSTED_CERT_B64: '' }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'an authority that is not trusted here', 'correct KAFKA_TRUSTED_CERT_B64'],
    },
    {
      name: 'Kafka: no client certificate where one is required',
      env: () => ({ KAFKA_CLIENT_CERT_B64: '', KAFKA_CLIENT_CERT_KEY_B64: '' }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'wants a client certificate', 'correct KAFKA_CLIENT_CERT_B64, KAFKA_CLIENT_CERT_KEY_B64'],
    },
    {
      name: 'Kafka: a client certificate of another authority',
      env: () => ({ ...certificates(stranger) }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'wants a client certificate', 'correct KAFKA_CLIENT_CERT_B64, KAFKA_CLIENT_CERT_KEY_B64'],
    },
    ...['PLAIN', 'SCRAM-SHA-256'].map((mechanism) => ({
      name: `Kafka: a wrong password with ${mechanism}`,
      env: () => login(mechanism, 'a guess'),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'does not let us in', 'KAFKA_SASL_PASSWORD'],
    })),
    {
      name: 'Kafka: a login where the listener wants none',
      env: () => ({ ...login('PLAIN'), KAFKA_HOSTS: kafka.brokers('SSL').join(',') }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'does not let us in', 'KAFKA_SECURITY_PROTOCOL'],
    },
    {
      name: 'Kafka: no login where the listener wants one',
      env: () => ({ KAFKA_HOSTS: kafka.brokers('SASL_SSL').join(',') }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'as a listener does that wants a login', 'KAFKA_SECURITY_PROTOCOL'],
    },
    {
      name: 'Kafka: plaintext to a TLS port',
      env: () => ({ KAFKA_SECURITY_PROTOCOL: 'PLAINTEXT' }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'the port speaks TLS', 'correct KAFKA_SECURITY_PROTOCOL'],
    },
    {
      name: 'Kafka: TLS to a plaintext port',
      env: () => ({ KAFKA_HOSTS: kafka.brokers('PLAINTEXT').join(',') }),
      says: [/Kafka at 127\.0\.0\.1:\d+/, 'the port does not speak TLS', 'correct KAFKA_SECURITY_PROTOCOL'],
    },
    {
      name: 'PostgreSQL: an authority that did not sign the certificate',
      env: () => ({ TROUPE_POSTGRES_CA: stranger.certFile }),
      says: [/PostgreSQL at 127\.0\.0\.1:\d+/, 'an authority that is not trusted here', 'correct TROUPE_POSTGRES_CA'],
    },
    {
      name: 'PostgreSQL: no TLS where the server wants it',
      env: () => ({ DATABASE_URL: databaseUrl(), TROUPE_POSTGRES_CA: '' }),
      says: [/PostgreSQL at 127\.0\.0\.1:\d+/, 'no encryption', 'correct sslmode in DATABASE_URL'],
    },
    {
      name: 'PostgreSQL: a wrong password',
      env: () => ({ DATABASE_URL: databaseUrl('a guess', '?sslmode=verify-full') }),
      says: [/PostgreSQL at 127\.0\.0\.1:\d+/, 'password authentication failed', 'correct DATABASE_URL'],
    },
    {
      name: 'ClickHouse: an authority that did not sign the certificate',
      env: () => ({ CLICKHOUSE_CA: stranger.cert }),
      says: [/ClickHouse at https:\/\/127\.0\.0\.1:\d+/, 'an authority that is not trusted here', 'correct CLICKHOUSE_CA'],
    },
    {
      name: 'ClickHouse: a certificate for another name',
      env: () => ({ CLICKHOUSE_HOST: `127.0.0.1:${misnamedFront.port}` }),
      says: [/ClickHouse at https:\/\/127\.0\.0\.1:\d+/, 'for another name', "not in the cert's list", 'correct CLICKHOUSE_HOST'],
    },
    {
      name: 'ClickHouse: HTTP to an HTTPS port',
      env: () => ({ CLICKHOUSE_SECURE: 'false' }),
      says: [/ClickHouse at http:\/\/127\.0\.0\.1:\d+/, 'the port speaks TLS', 'correct CLICKHOUSE_SECURE'],
    },
    {
      name: 'ClickHouse: HTTPS to an HTTP port',
      env: () => ({ CLICKHOUSE_HOST: new URL(clickhouse.url).host }),
      says: [/ClickHouse at https:\/\/127\.0\.0\.1:\d+/, 'the port does not speak TLS', 'correct CLICKHOUSE_SECURE'],
    },
    {
      name: 'ClickHouse: a wrong password',
      env: () => ({ CLICKHOUSE_PASSWORD: 'a guess' }),
      says: [/ClickHouse at https:\/\/127\.0\.0\.1:\d+/, 'does not let us in', 'CLICKHOUSE_PASSWORD'],
    },
    {
      name: 'Redis: an authority that did not sign the certificate',
      env: () => ({ TROUPE_REDIS_CA: stranger.certFile }),
      says: [/Redis at 127\.0\.0\.1:\d+/, 'an authority that is not trusted here', 'correct TROUPE_REDIS_CA'],
    },
    {
      name: 'Redis: plain to a TLS port',
      env: () => ({ REDIS_URL: redisUrl().replace('rediss:', 'redis:') }),
      says: [/Redis at 127\.0\.0\.1:\d+/, 'the port speaks TLS', 'correct REDIS_URL'],
    },
    {
      name: 'Redis: a wrong password',
      env: () => ({ REDIS_URL: redisUrl('a guess') }),
      says: [/Redis at 127\.0\.0\.1:\d+/, 'does not let us in', 'correct REDIS_URL'],
    },
  ];

  describe('a wrong setting ends the start with one message: the system, what was seen there, the setting', () => {
    test.each(wrong.map((one) => [one.name, one] as const))('%s', async (_, { env, says }) => {
      const closers = createClosers();
      const { config } = loadConfig({ ...right, TROUPE_DATA_DIR: dataDir, ...env() });
      const startedAt = performance.now();
      const outcome = await assemble({
        config,
        clock: systemClock,
        random: systemRandom,
        closers,
        onLost: () => undefined,
        migrate: false,
        say: () => undefined,
      }).then(
        () => 'it was accepted',
        (error: unknown) => error,
      );
      const tookMs = performance.now() - startedAt;
      await closers.closeAll();
      expect(outcome).toBeInstanceOf(ContactError);
      const { message } = outcome as ContactError;
      for (const words of says) expect(message).toMatch(words);
      expect(message).not.toMatch(/a guess|p@ss/); // no password in a message
      expect(message).not.toContain('\n');
      expect(tookMs).toBeLessThan(TOLD_WITHIN_MS);
    });

    test('and the process with status 1', async () => {
      const troupe = await spawnTroupe({ env: { ...right, TROUPE_REDIS_CA: stranger.certFile } });
      expect((await troupe.exited).code).toBe(1);
      expect(troupe.output().trim().split('\n').at(-1)).toMatch(/^Redis at 127\.0\.0\.1:\d+ cannot be used: its certificate/);
    });
  });
});
