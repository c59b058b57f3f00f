import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, getCACertificates, setDefaultCACertificates, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { PostHog } from 'posthog-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { NO_PLUGINS } from '../../src/capture/plugins/open.ts';
import { ConfigError, loadConfig } from '../../src/config/load.ts';
import { openCertificate } from '../../src/http/certificate.ts';
import type { TlsIdentity } from '../../src/http/tls-identity.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { openCapture } from '../../src/start/capture-server.ts';
import { createClosers } from '../../src/start/closers.ts';
import { manualClock } from '../kit/clock.ts';
import { requireService } from '../services/availability.ts';
import { makeAuthority, probeOpenssl, type Authority, type Identity } from '../services/certificates.ts';
import { until } from '../services/surroundings.ts';
import { fakeProducer, facts } from '../unit/capture/kit.ts';
import { CERTIFICATE, KEY } from '../unit/config/certificate.ts';

/** Capture's own TLS (spec/capture.md 16.1, row 31), with real certificates over real sockets. */
const openssl = await requireService('openssl', probeOpenssl);

const NAMES = ['IP:127.0.0.1', 'DNS:localhost'];

describe.skipIf(!openssl.available)('TLS of the capture server', () => {
  let authority: Authority;
  let first: Identity;
  let second: Identity;
  beforeAll(async () => {
    authority = await makeAuthority('the authority of the test');
    [first, second] = [await authority.server('first', NAMES), await authority.server('second', NAMES)];
  });
  afterAll(() => authority.remove());

  describe('the certificate in its files', () => {
    const POLL_MS = 1_000;
    function opened(atMs = Date.now()) {
      const clock = manualClock(atMs);
      const files: { held: TlsIdentity | Error } = { held: first };
      const read = (): Promise<TlsIdentity> => (files.held instanceof Error ? Promise.reject(files.held) : Promise.resolve(files.held));
      const [taken, refused] = [facts('http-certificate-taken'), facts('http-certificate-refused')];
      const presented: TlsIdentity[] = [];
      const look = async (): Promise<void> => {
        clock.advance(POLL_MS);
        await new Promise(setImmediate);
      };
      const open = async (): Promise<void> => {
        const certificate = await openCertificate({ server: 'capture', read, clock, pollMs: POLL_MS });
        certificate.watch((identity) => presented.push(identity));
        onTestFinished(() => certificate.close());
      };
      return { clock, files, taken, refused, presented, look, open };
    }

    test('I2: a change is taken at the second look that sees it, and once', async () => {
      const { files, taken, presented, look, open } = opened();
      await open();
      expect(taken).toEqual([expect.objectContaining({ server: 'capture', subject: 'CN=server' })]);
      expect(taken[0]?.remainingMs).toBeGreaterThan(86_400_000);
      files.held = second;
      await look();
      expect(presented).toEqual([]);
      await look();
      await look();
      expect(presented).toEqual([expect.objectContaining({ cert: second.cert, key: second.key })]);
      expect(taken).toHaveLength(2);
    });

    test('I1, I3: a key of another certificate is refused once; the pair that it becomes is taken', async () => {
      const { files, refused, presented, look, open } = opened();
      await open();
      files.held = { cert: second.cert, key: first.key };
      for (let looks = 0; looks < 4; looks++) await look();
      expect(refused).toEqual([{ server: 'capture', message: 'the key is not that of the certificate' }]);
      files.held = second;
      for (let looks = 0; looks < 2; looks++) await look();
      expect(presented).toHaveLength(1);
      expect(refused).toHaveLength(1);
    });

    test.each<[string, () => TlsIdentity | Error, RegExp]>([
      ['a file that is gone', () => new Error('ENOENT: no such file'), /ENOENT/],
      ['a file that is half written', () => ({ cert: second.cert.slice(0, 200), key: second.key }), /the certificate cannot be read/],
      ['a key that is none', () => ({ cert: second.cert, key: 'secret' }), /the key cannot be read/],
    ])('I1: %s keeps the old one, and is told', async (_, held, message) => {
      const { files, refused, presented, look, open } = opened();
      await open();
      files.held = held();
      for (let looks = 0; looks < 3; looks++) await look();
      expect(refused.map((fact) => fact.message)).toEqual([expect.stringMatching(message)]);
      expect(presented).toEqual([]);
    });

    test('I1: one that has expired does not take the place of one that has not', async () => {
      const { files, refused, presented, look, open } = opened(Date.now() + 3 * 86_400_000);
      files.held = { cert: CERTIFICATE, key: KEY }; // for a hundred years
      await open();
      files.held = second; // for two days
      for (let looks = 0; looks < 2; looks++) await look();
      expect(refused.map(({ message }) => message)).toEqual([expect.stringContaining('it expired at 20')]);
      expect(presented).toEqual([]);
    });

    test('I4: nothing is looked at after close', async () => {
      const clock = manualClock();
      let reads = 0;
      const read = (): Promise<TlsIdentity> => Promise.resolve((reads++, first));
      const certificate = await openCertificate({ server: 'capture', read, clock, pollMs: POLL_MS });
      certificate.watch(() => undefined);
      certificate.close();
      clock.advance(10 * POLL_MS);
      expect([reads, clock.pendingCount]).toEqual([1, 0]);
    });
  });

  describe('the server', () => {
    /** A capture as the process has it, on settings. */
    async function started(env: Readonly<Record<string, string>>, producer = fakeProducer()) {
      const closers = createClosers();
      onTestFinished(() => closers.closeAll());
      const { config } = loadConfig({
        TROUPE_CAPTURE_HOST: '127.0.0.1',
        TROUPE_CAPTURE_PORT: '0',
        TROUPE_SHUTDOWN_ANNOUNCE_MS: '0',
        TROUPE_SHUTDOWN_LINGER_MS: '1',
        TROUPE_SHUTDOWN_INTAKE_MS: '1',
        ...env,
      });
      const { url } = await openCapture({
        config,
        clock: systemClock,
        random: systemRandom,
        closers,
        producer,
        redis: undefined,
        plugins: NO_PLUGINS,
      });
      return { producer, closers, url, port: Number(new URL(url).port) };
    }
    const inFiles = (identity: Identity): Record<string, string> => ({
      TROUPE_CAPTURE_TLS_CERT: identity.certFile,
      TROUPE_CAPTURE_TLS_KEY: identity.keyFile,
    });

    /** Serial number of the certificate that a connection was shown. */
    const serialOf = (socket: Socket): string => (socket as TLSSocket).getPeerCertificate().serialNumber;
    function ask(port: number, agent: Agent): Promise<{ readonly status: number; readonly serial: string; readonly socket: Socket }> {
      return new Promise((resolve, reject) => {
        const asked = request({ port, host: '127.0.0.1', path: '/_liveness', agent, ca: authority.cert }, (response) => {
          const { socket } = response;
          response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, serial: serialOf(socket), socket }));
        });
        asked.on('error', reject).end();
      });
    }
    function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
      return new Promise((resolve, reject) => {
        const socket = connect({ port, host: '127.0.0.1', ca: authority.cert, ...options }, () => resolve(socket));
        socket.on('error', reject);
        onTestFinished(() => void socket.destroy());
      });
    }

    test('a renewed certificate is shown to new connections, and an old connection lives on with the old one', async () => {
      const dir = mkdtempSync(join(tmpdir(), 'troupe-test-tls-'));
      onTestFinished(() => rmSync(dir, { recursive: true }));
      // As the kubelet does it: files are links into ..data, which is a link that is swapped for another one by a rename.
      const put = (name: string, identity: Identity): void => {
        mkdirSync(join(dir, name));
        writeFileSync(join(dir, name, 'tls.crt'), identity.cert);
        writeFileSync(join(dir, name, 'tls.key'), identity.key);
        symlinkSync(name, join(dir, '..next'));
        renameSync(join(dir, '..next'), join(dir, '..data'));
      };
      put('..1', first);
      for (const file of ['tls.crt', 'tls.key']) symlinkSync(join('..data', file), join(dir, file));

      const taken = facts('http-certificate-taken');
      const { port } = await started({ TROUPE_CAPTURE_TLS_CERT: join(dir, 'tls.crt'), TROUPE_CAPTURE_TLS_KEY: join(dir, 'tls.key') });
      const keeping = new Agent({ keepAlive: true, maxSockets: 1 });
      onTestFinished(() => keeping.destroy());
      const before = await ask(port, keeping);
      put('..2', second);
      await until(() => taken.length === 2, 'the new certificate is taken', 15_000);
      const after = await ask(port, keeping);
      const other = await ask(port, new Agent({ keepAlive: false }));
      expect([before.status, after.status, other.status]).toEqual([200, 200, 200]);
      expect(after.socket).toBe(before.socket);
      expect(after.serial).toBe(before.serial);
      expect(other.serial).not.toBe(before.serial);
    });

    test('posthog-node delivers over https', async () => {
      const { url, producer } = await started(inFiles(first));
      const trusted = getCACertificates('default');
      setDefaultCACertificates([...trusted, authority.cert]);
      onTestFinished(() => setDefaultCACertificates(trusted));
      const client = new PostHog('phc_tls', { host: url, flushAt: 1 });
      client.capture({ distinctId: 'ann', event: 'encrypted' });
      await client.shutdown();
      expect(url).toMatch(/^https:/);
      expect(producer.produced.map(({ key, data }) => [key, data['event']])).toEqual([['phc_tls:ann', 'encrypted']]);
    });

    test('a stop answers the request that is in work, and ends the handshakes of who connects then', async () => {
      const { promise: held, resolve: acknowledge } = Promise.withResolvers<void>();
      let sends = 0;
      const producer = fakeProducer(() => (sends++, held));
      const { port, closers } = await started({ ...inFiles(first), TROUPE_SHUTDOWN_INTAKE_MS: '5000' }, producer);
      const answered = new Promise<number | undefined>((resolve, reject) => {
        const options = { port, host: '127.0.0.1', path: '/e', method: 'POST', agent: new Agent({ keepAlive: true }), ca: authority.cert };
        const asked = request(options, (response) => response.resume().on('end', () => resolve(response.statusCode)));
        asked.on('error', reject).end(JSON.stringify({ api_key: 'phc_tls', event: 'late', distinct_id: 'ann' }));
      });
      await until(() => sends === 1, 'the event is with the producer', 5_000);
      const stopped = closers.closeAll();
      await until(
        () =>
          handshake(port).then(
            () => false,
            () => true,
          ),
        'nobody can connect any more',
        5_000,
      );
      acknowledge();
      expect(await answered).toBe(200);
      await stopped;
    });

    test('TLS 1.2 and 1.3 are spoken, 1.1 is not', async () => {
      const { port } = await started(inFiles(first));
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        expect((await handshake(port, { minVersion: version, maxVersion: version })).getProtocol()).toBe(version);
      }
      const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
      await expect(handshake(port, old)).rejects.toThrow(/protocol version/);
    });

    test('ALPN: http/1.1 is agreed on beside h2; h2 alone is turned away', async () => {
      const { port } = await started(inFiles(first));
      expect((await handshake(port, { ALPNProtocols: ['h2', 'http/1.1'] })).alpnProtocol).toBe('http/1.1');
      await expect(handshake(port, { ALPNProtocols: ['h2'] })).rejects.toThrow(/no application protocol/);
    });

    test('plain HTTP to it is counted, and harms nobody', async () => {
      const failed = facts('http-handshake-failed');
      const { port } = await started(inFiles(first));
      await expect(fetch(`http://127.0.0.1:${port}/_liveness`)).rejects.toThrow();
      await until(() => failed.length === 1, 'the handshake is counted', 5_000);
      expect((await ask(port, new Agent({ keepAlive: false }))).status).toBe(200);
    });

    test.each<[string, () => Record<string, string>, RegExp]>([
      ['one without the other', () => ({ TROUPE_CAPTURE_TLS_CERT: first.certFile }), /TROUPE_CAPTURE_TLS_KEY[^]*both or neither/],
      ['the key of another certificate', () => ({ ...inFiles(first), TROUPE_CAPTURE_TLS_KEY: second.keyFile }), /this is another one/],
      ['a file that is not there', () => ({ ...inFiles(first), TROUPE_CAPTURE_TLS_CERT: '/nowhere.pem' }), /_TLS_CERT[^]*ENOENT/],
      ['a key for a certificate', () => ({ ...inFiles(first), TROUPE_CAPTURE_TLS_CERT: first.keyFile }), /one of them cannot be read/],
    ])('the start ends with %s', (_, env, message) => {
      const attempt = (): unknown => loadConfig(env());
      expect(attempt).toThrow(ConfigError);
      expect(attempt).toThrow(message);
      expect(attempt).not.toThrow(/PRIVATE KEY/);
    });
  });
});
