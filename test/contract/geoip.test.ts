import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bundledDatabase, fileSource } from '../../src/geoip/file-source.ts';
import { createGeoIp } from '../../src/geoip/hot-swap.ts';
import { GeoIpError, type CityRecord } from '../../src/geoip/port.ts';
import { openDatabase } from '../../src/geoip/reader.ts';
import { startGeoIpService, type GeoIpService } from '../../src/geoip/service.ts';
import type { PostgresClient } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createMmdbAttachment } from '../../src/postgres/mmdb-attachment.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { cityDatabase, KNOWN_IP, UNKNOWN_IP } from '../kit/geoip.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';
import { until } from '../services/surroundings.ts';

describe('the MMDB service, over real sockets', () => {
  const whole = openDatabase(cityDatabase('Linköping'));
  let locate: (ip: string) => CityRecord | null;
  let service: GeoIpService;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    locate = (ip) => whole.locate(ip);
    service = await startGeoIpService({ geoip: { locate: (ip) => locate(ip) }, port: 0, connectionsCount: 4 });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await service.close();
  });

  /** A client with everything it was answered. */
  async function client(): Promise<{ socket: Socket; lines: string[]; closed: Promise<void>; ask: (ip: string) => Promise<unknown> }> {
    const socket = connect({ port: service.port, host: '127.0.0.1' });
    sockets.push(socket);
    const lines: string[] = [];
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
    });
    socket.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return {
      socket,
      lines,
      closed,
      async ask(ip) {
        const at = lines.length;
        socket.write(`${ip}\n`);
        await until(() => lines.length > at, `an answer for ${ip}`, 5_000);
        return JSON.parse(lines[at] ?? '') as unknown;
      },
    };
  }

  it('answers a line with a line: the record, or null; it listens on the loopback', async () => {
    const { ask } = await client();
    expect(await ask(KNOWN_IP)).toEqual(whole.locate(KNOWN_IP));
    expect(await ask(UNKNOWN_IP)).toBeNull();
    expect(await ask('2001:db8:1::1')).toMatchObject({ country: { iso_code: 'SE' } });
    expect(await ask(`${KNOWN_IP}\r`)).toMatchObject({ country: { iso_code: 'SE' } });
  });

  it('says when there is no database, and when it is damaged where the address leads', async () => {
    const { ask } = await client();
    locate = () => {
      throw new GeoIpError('not-ready', 'none');
    };
    expect(await ask(KNOWN_IP)).toBe('not-ready');
    locate = () => {
      throw new GeoIpError('unreadable', 'damaged');
    };
    expect(await ask(KNOWN_IP)).toBe('unreadable');
  });

  it('I1: many questions at once, cut anywhere, are answered in their order, and by every client its own', async () => {
    const [one, other] = await Promise.all([client(), client()]);
    locate = (ip) => ({ asked: ip });
    const addresses = (from: number): string[] => Array.from({ length: 2_000 }, (_, n) => `10.${from}.${n >> 8}.${n & 255}`);
    const text = addresses(1).join('\n') + '\n';
    for (let at = 0; at < text.length; at += 997) one.socket.write(text.slice(at, at + 997));
    other.socket.write(addresses(2).join('\n') + '\n');
    await until(() => one.lines.length === 2_000 && other.lines.length === 2_000, 'all answers', 10_000);
    expect(one.lines.map((line) => (JSON.parse(line) as { asked: string }).asked)).toEqual(addresses(1));
    expect(other.lines.map((line) => (JSON.parse(line) as { asked: string }).asked)).toEqual(addresses(2));
  });

  it.each([
    ['a word', 'GET / HTTP/1.1\r\n'],
    ['an empty line', '\n'],
    ['a line without end', 'x'.repeat(1_000)],
    ['an address that goes on', `${KNOWN_IP}${' '.repeat(100)}\n`],
    ['bytes', Buffer.from([0, 255, 10, 13, 10]).toString('latin1')],
  ])('I2: %s ends that connection, and no other', async (_, input) => {
    const [good, bad] = await Promise.all([client(), client()]);
    bad.socket.write(input, 'latin1');
    await bad.closed;
    expect(bad.lines).toEqual([]);
    expect(await good.ask(KNOWN_IP)).toMatchObject({ country: { iso_code: 'SE' } });
    expect(await (await client()).ask(KNOWN_IP)).toMatchObject({ country: { iso_code: 'SE' } });
  });

  it('I3: of a client that takes no answers no further questions are read', async () => {
    let asked = 0;
    const filler = 'x'.repeat(10_000);
    locate = () => {
      asked++;
      return { filler };
    };
    const { socket, lines } = await client();
    socket.pause();
    const questions = `${KNOWN_IP}\n`.repeat(1_000);
    let sent = 0;
    while (sent < 100_000 && socket.write(questions)) sent += 1_000;
    for (; sent < 100_000; sent += 1_000) socket.write(questions);
    let before = -1;
    await until(
      () => {
        const isStill = asked === before && asked > 0;
        before = asked;
        return isStill;
      },
      'the service reads no more',
      10_000,
    );
    expect(asked).toBeLessThan(100_000);
    socket.resume();
    await until(() => lines.length > asked / 2 && asked > before, 'it reads on when answers are taken', 20_000);
  });

  it('I4: more clients than there may be are turned away; there is room again when one goes', async () => {
    const clients = await Promise.all([1, 2, 3, 4].map(() => client()));
    const fifth = await client();
    await fifth.closed;
    clients[0]?.socket.end();
    await clients[0]?.closed;
    let next: Awaited<ReturnType<typeof client>> | undefined;
    await until(
      async () => {
        next = await client();
        return (await Promise.race([next.closed.then(() => 'closed'), next.ask(KNOWN_IP)])) !== 'closed';
      },
      'a place is free',
      10_000,
    );
  });

  it('I5: close ends connections in the middle of whatever they do, and the port is free again', async () => {
    const { closed, socket } = await client();
    socket.write('89.160');
    await service.close();
    await closed;
    const again = await startGeoIpService({ geoip: { locate }, port: service.port });
    await again.close();
  });

  it('a port that is taken is named with its setting', async () => {
    await expect(startGeoIpService({ geoip: { locate }, port: service.port })).rejects.toThrow(
      new RegExp(`127.0.0.1:${service.port}.*INTERNAL_MMDB_SERVER_PORT`),
    );
  });
});

describe('a database file', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-test-geoip-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('is swapped when it is renamed over or written over; a broken one is not taken', async () => {
    const path = join(dir, 'city.mmdb');
    writeFileSync(path, cityDatabase('One'));
    const geoip = await createGeoIp({ source: fileSource(path), clock: systemClock, pollMs: 10 });
    const isAt = (city: string) => (): boolean => geoip.locate(KNOWN_IP)?.city?.names?.en === city;
    expect(isAt('One')()).toBe(true);
    writeFileSync(join(dir, 'next'), cityDatabase('Two'));
    renameSync(join(dir, 'next'), path);
    await until(isAt('Two'), 'the renamed file', 5_000);
    writeFileSync(path, cityDatabase('Three').subarray(0, 100));
    await until(() => geoip.refusal() !== undefined, 'the refusal', 5_000);
    expect(isAt('Two')()).toBe(true);
    writeFileSync(path, cityDatabase('Three'));
    await until(isAt('Three'), 'the file written over', 5_000);
    rmSync(path);
    writeFileSync(path, cityDatabase('Four'));
    await until(isAt('Four'), 'the file made anew', 5_000);
    geoip.close();
  });

  it('that comes with Troupe knows the countries of the world', async () => {
    const geoip = await createGeoIp({ source: fileSource(bundledDatabase()), clock: systemClock, pollMs: 1_000 });
    geoip.close();
    expect(geoip.locate('8.8.8.8')).toEqual({ country: { iso_code: 'US', names: { en: 'United States' } } });
    expect(geoip.locate('2001:218::1')).toEqual({ country: { iso_code: 'JP', names: { en: 'Japan' } } });
    expect(geoip.locate('10.0.0.1')).toBeNull();
  });
});

const postgres = await requireService('postgres (embedded)', () => probePostgres('embedded'));
describe.skipIf(!postgres.available)("PostHog's attachment @posthog/mmdb (6.5)", () => {
  let server: TestPostgres;
  let sql: PostgresClient;
  beforeAll(async () => {
    server = await startPostgres('embedded');
    sql = server.client();
    await ensureSchema(sql, { migrate: false });
  });
  afterAll(() => server.stop());

  const put = (key: string, bytes: Buffer, team = 'NULL'): Promise<unknown> =>
    sql.script(
      'test-attach',
      `INSERT INTO posthog_pluginattachment (team_id, plugin_config_id, key, content_type, file_name, file_size, contents)
       VALUES (${team}, NULL, '${key}', 'vnd.maxmind.maxmind-db', 'GeoLite2-City-2026-11-01.mmdb.br', ${bytes.length}, '\\x${bytes.toString('hex')}')`,
    );

  it('is read unpacked, when it belongs to nobody; also when it comes, or is replaced, later; a broken one leaves the old one', async () => {
    await put('@posthog/mmdb', brotliCompressSync(cityDatabase('Of a team')), '1');
    await put('logo', Buffer.from('x'));
    const geoip = await createGeoIp({ source: createMmdbAttachment(sql), clock: systemClock, pollMs: 10 });
    expect(() => geoip.locate(KNOWN_IP)).toThrow('geoip database is not ready');
    const isAt = (city: string) => (): boolean => geoip.locate(KNOWN_IP)?.city?.names?.en === city;
    await put('@posthog/mmdb', brotliCompressSync(cityDatabase('First')));
    await until(isAt('First'), 'the attachment', 5_000);
    await sql.script(
      'test-break',
      `UPDATE posthog_pluginattachment SET contents = '\\x00' WHERE team_id IS NULL AND key = '@posthog/mmdb'`,
    );
    await until(() => geoip.refusal() !== undefined, 'the refusal', 5_000);
    expect(isAt('First')()).toBe(true);
    const next = brotliCompressSync(cityDatabase('Second')).toString('hex');
    await sql.script(
      'test-replace',
      `UPDATE posthog_pluginattachment SET contents = '\\x${next}' WHERE team_id IS NULL AND key = '@posthog/mmdb'`,
    );
    await until(isAt('Second'), 'what replaced it', 5_000);
    geoip.close();
  });
});
