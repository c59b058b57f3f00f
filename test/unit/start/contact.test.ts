import { createServer, type AddressInfo, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { diagnose } from '../../../src/start/contact/diagnosis.ts';
import { clickHouseTarget, kafkaTarget, postgresTarget, redisTarget } from '../../../src/start/contact/targets.ts';
import { contact, ContactError, explained, type ContactTarget } from '../../../src/start/contact/contact.ts';
import { listenerSpeaks } from '../../../src/start/contact/listener-probe.ts';
import { manualClock } from '../../kit/clock.ts';
import { CERTIFICATE, KEY } from '../config/certificate.ts';

const coded = (code: string, message: string, cause?: Error): Error => Object.assign(new Error(message, { cause }), { code });
const named = (name: string, message: string): Error => Object.assign(new Error(message), { name });
const refused = coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1');

describe('what an error of a first contact means', () => {
  it.each<[string, Error, string]>([
    ['an unknown authority', coded('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain'), 'certificate'],
    [
      'one inside the error of a pool',
      new Error('version: failed', { cause: coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'x') }),
      'certificate',
    ],
    ['a certificate of yesterday', coded('CERT_HAS_EXPIRED', 'certificate has expired'), 'certificate'],
    [
      "another host's certificate",
      coded('ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames"),
      'certificate',
    ],
    ['an alert after the handshake', coded('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'tlsv13 alert'), 'client-certificate'],
    ['kafkajs, SASL', named('KafkaJSSASLAuthenticationError', 'SASL PLAIN authentication failed'), 'login'],
    ['PostgreSQL, password', coded('28P01', 'password authentication failed for user "ann"'), 'login'],
    [
      'PostgreSQL, hostssl only',
      coded('28000', 'no pg_hba.conf entry for host "1.2.3.4", user "a", database "b", no encryption'),
      'encryption',
    ],
    ['PostgreSQL without TLS', new Error('The server does not support SSL connections'), 'encryption'],
    ['ClickHouse, password', coded('516', 'default: Authentication failed'), 'login'],
    ['Redis, password', new Error('WRONGPASS invalid username-password pair or user is disabled.'), 'login'],
    ['Redis, TLS where none was asked for', new Error('Protocol error, got "\\u0015" as reply type byte'), 'cut'],
    ['every address of a name', new AggregateError([refused, refused]), 'unreachable'],
    ['a name that is none', coded('ENOTFOUND', 'getaddrinfo ENOTFOUND kafka'), 'unreachable'],
    ['a server that starts up', coded('57P03', 'the database system is starting up'), 'unreachable'],
    ['a table that is missing', new Error('the table events has no column _offset'), 'unknown'],
  ])('%s', (_, error, kind) => {
    expect(diagnose(error).kind).toBe(kind);
  });
});

describe('the first contact', () => {
  const target: ContactTarget = {
    what: 'Kafka at a:1',
    settings: { address: 'HOSTS', authority: 'AUTHORITY', login: 'LOGIN' },
    addresses: [],
    usesTls: false,
    hangsUp: { headline: 'it hangs up', remedy: 'login' },
  };

  /** Runs an attempt that fails with each error in turn, the last one for ever, with as much time as it wants. */
  async function failing(errors: readonly (Error | undefined)[], limitMs = 15_000) {
    const clock = manualClock();
    let attempts = 0;
    const running = contact(target, { clock, limitMs }, () => {
      const error = errors[Math.min(attempts++, errors.length - 1)];
      return error === undefined ? Promise.resolve('an answer') : Promise.reject(error);
    });
    const ended = running.then(
      (result) => ({ result, error: undefined }),
      (error: unknown) => ({ result: undefined, error: error instanceof ContactError ? error : undefined }),
    );
    let isOver = false;
    void ended.then(() => (isOver = true));
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(50);
    }
    return { ...(await ended), attempts, tookMs: clock.monotonic() };
  }

  it('waits for a server that comes up', async () => {
    expect(await failing([refused, refused, undefined])).toMatchObject({ result: 'an answer', attempts: 3 });
  });

  it('gives up after its limit, and says what it saw last', async () => {
    const { error, tookMs } = await failing([refused]);
    expect(error?.message).toBe('Kafka at a:1 cannot be used: connect ECONNREFUSED 127.0.0.1:1. Put it right there, or correct HOSTS.');
    expect(error?.passes).toBe(true);
    expect(tookMs).toBeGreaterThan(14_000);
    expect(tookMs).toBeLessThan(16_000);
  });

  it('gives up at once on what no waiting cures, and names the setting for it', async () => {
    const { error, attempts } = await failing([coded('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate')]);
    expect(error?.message).toContain(
      'an authority that is not trusted here (self-signed certificate). Put it right there, or correct AUTHORITY.',
    );
    expect(error?.passes).toBe(false);
    expect(attempts).toBe(1);
  });

  it('asks one that hangs up a few times, then says what that means', async () => {
    const { error, attempts, tookMs } = await failing([new Error('Closed connection')]);
    expect(error?.message).toContain('it hangs up (Closed connection). Put it right there, or correct LOGIN.');
    expect(attempts).toBeGreaterThan(2);
    expect(tookMs).toBeLessThan(5_000);
  });

  it('does not wait for an attempt that never ends', async () => {
    const clock = manualClock();
    const running = contact(target, { clock, limitMs: 1_000 }, () => new Promise<never>(() => undefined));
    const outcome = expect(running).rejects.toThrow('Kafka at a:1 cannot be used: it did not answer within 1000 ms.');
    clock.advance(1_000);
    await outcome;
  });

  it('explains what comes after it in the same words, without a limit', async () => {
    await expect(explained(target, () => Promise.reject(coded('28P01', 'no')))).rejects.toThrow(
      'it does not let us in (no). Put it right there, or correct LOGIN.',
    );
  });
});

describe('what a port speaks', () => {
  const servers: Server[] = [];
  const port = async (server: Server): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };
  let tls: number;
  let plain: number;
  let closed: number;
  beforeAll(async () => {
    tls = await port(createTlsServer({ cert: CERTIFICATE, key: KEY }));
    plain = await port(createServer((socket) => socket.once('data', () => socket.destroy())));
    const gone = createServer();
    closed = await port(gone);
    await new Promise((resolve) => gone.close(resolve));
  });
  afterAll(() => {
    for (const server of servers) server.close();
  });

  it('is seen by offering it a handshake', async () => {
    const speaks = (of: number) => listenerSpeaks({ host: '127.0.0.1', port: of });
    expect(await Promise.all([speaks(tls), speaks(plain), speaks(closed)])).toEqual(['tls', 'plain', 'nothing']);
  });

  it('is told when a connection was cut for it', async () => {
    const cut = (): Promise<never> => Promise.reject(coded('ECONNRESET', 'read ECONNRESET'));
    const to = (of: number, usesTls: boolean) =>
      explained({ what: 'It', settings: { address: 'A', encryption: 'E' }, addresses: [{ host: '127.0.0.1', port: of }], usesTls }, cut);
    await expect(to(tls, false)).rejects.toThrow(
      'the port speaks TLS, and the settings ask for a connection without (read ECONNRESET). Put it right there, or correct E.',
    );
    await expect(to(plain, true)).rejects.toThrow('the port does not speak TLS');
    await expect(to(tls, true)).rejects.toThrow('It cannot be used: read ECONNRESET. Put it right there, or correct A.');
  });
});

describe('the target of each system', () => {
  const config = (env: Record<string, string>) => loadConfig({ TROUPE_EMBEDDED_IN_PRODUCTION: 'y', ...env }).config;

  it('names it with its address, without a password', () => {
    const kafka = config({ KAFKA_HOSTS: 'a,b:1', KAFKA_SECURITY_PROTOCOL: 'ssl' });
    expect(kafkaTarget(kafka)).toMatchObject({
      what: 'Kafka at a, b:1',
      addresses: [
        { host: 'a', port: 9092 },
        { host: 'b', port: 1 },
      ],
      usesTls: true,
    });
    const all = [
      postgresTarget('postgres://ann:secret@db:1/ph'),
      postgresTarget('postgres://ann:secret@/ph?host=/run/pg'),
      redisTarget('rediss://:secret@cache'),
      redisTarget('/run/redis.sock'),
      clickHouseTarget({ url: 'https://[::1]:8443', user: 'u', database: 'd' }),
    ];
    expect(all.map(({ what }) => what)).toEqual([
      'PostgreSQL at db:1',
      'PostgreSQL at /run/pg',
      'Redis at cache',
      'Redis at /run/redis.sock',
      'ClickHouse at https://[::1]:8443, database d, user u,',
    ]);
    expect(all[4]?.addresses).toEqual([{ host: '::1', port: 8443 }]);
    expect(JSON.stringify(all)).not.toContain('secret');
  });
});
