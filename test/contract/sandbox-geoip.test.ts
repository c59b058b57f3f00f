import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PluginEvent } from '../../src/domain/event.ts';
import { openDatabase } from '../../src/geoip/reader.ts';
import { startGeoIpService, type GeoIpService } from '../../src/geoip/service.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSandbox } from '../../src/sandbox/host.ts';
import type { InvocationResult, Sandbox } from '../../src/sandbox/port.ts';
import { freePort } from '../services/ports.ts';
import { cityDatabase, GEOIP_PLUGIN, KNOWN_IP, UNKNOWN_IP } from '../kit/geoip.ts';

const DEADLINE_MS = 500;

const eventFrom = (ip: string): PluginEvent => ({
  uuid: '01890000-0000-7000-8000-000000000001',
  event: 'pageview',
  distinct_id: 'ada',
  team_id: 2,
  now: '2026-11-21T10:00:00.000Z',
  ip: null,
  properties: { $ip: ip },
});
const LOCATE =
  'export async function processEvent(event, meta) { event.properties.at = await meta.geoip.locate(event.properties.$ip); return event }';

async function load(sandbox: Sandbox, id: number, files: Readonly<Record<string, string>>): Promise<void> {
  const loaded = await sandbox.load({ pluginConfigId: id, teamId: 2, name: `plugin ${id}`, config: {}, files });
  expect(loaded).toMatchObject({ type: 'loaded' });
}
const propertiesOf = (results: readonly InvocationResult[]): (Record<string, unknown> | string)[] =>
  results.map((result) => (result.type === 'event' ? result.event.properties : result.type === 'failed' ? result.message : result.type));

describe('meta.geoip in the sandbox', () => {
  const database = openDatabase(cityDatabase('Linköping'));
  let service: GeoIpService;
  let sandbox: Sandbox;
  beforeAll(async () => {
    service = await startGeoIpService({ geoip: database, port: 0 });
    sandbox = createSandbox({ clock: systemClock, geoipPort: service.port });
  });
  afterAll(async () => {
    await sandbox.close();
    await service.close();
  });

  it("6.5: PostHog's GeoIP plugin finds the place, and leaves alone events from nowhere", async () => {
    await load(sandbox, 1, GEOIP_PLUGIN);
    const [there, nowhere] = await sandbox.invoke(1, [eventFrom(KNOWN_IP), eventFrom(UNKNOWN_IP)], 5_000);
    expect(there).toMatchObject({
      type: 'event',
      event: {
        properties: {
          $geoip_city_name: 'Linköping',
          $geoip_country_code: 'SE',
          $geoip_latitude: 59.5,
          $geoip_time_zone: 'Europe/Stockholm',
        },
        $set: { $geoip_city_name: 'Linköping' },
        $set_once: { $initial_geoip_country_code: 'SE' },
      },
    });
    expect(nowhere).toEqual({ type: 'event', event: eventFrom(UNKNOWN_IP) });
  });

  it('6.5: locate gives the whole record, or null; null also for what is no address, of whatever type', async () => {
    await load(sandbox, 2, {
      'index.js': `export async function processEvent(event, { geoip }) {
        event.properties.found = [];
        for (const ip of ['${KNOWN_IP}', '${UNKNOWN_IP}', 'nowhere', '', 7, null, undefined, {}, 'x'.repeat(1e6)]) event.properties.found.push(await geoip.locate(ip));
        return event;
      }`,
    });
    const [properties] = propertiesOf(await sandbox.invoke(2, [eventFrom('')], 5_000));
    expect(properties).toEqual({ $ip: '', found: [database.locate(KNOWN_IP), ...Array<null>(8).fill(null)] });
  });

  it('it can be asked in setupPlugin too, and for many addresses at once', async () => {
    await load(sandbox, 3, {
      'index.js': `let home;
        export async function setupPlugin({ geoip }) { home = (await geoip.locate('${KNOWN_IP}')).country.iso_code }
        export async function processEvent(event, { geoip }) {
          const all = await Promise.all(Array.from({ length: 90 }, (_, n) => geoip.locate('89.160.20.' + n)));
          event.properties.cities = [...new Set(all.map((one) => one.city.names.en))];
          event.properties.home = home;
          return event;
        }`,
    });
    expect(propertiesOf(await sandbox.invoke(3, [eventFrom('')], 5_000))).toEqual([{ $ip: '', home: 'SE', cities: ['Linköping'] }]);
  });

  it('a plugin that asks without end is refused beyond 100 lookups at once; others are answered meanwhile', async () => {
    await load(sandbox, 4, {
      'index.js': `export async function processEvent(event, { geoip }) {
        const all = await Promise.allSettled(Array.from({ length: 1000 }, () => geoip.locate('${KNOWN_IP}')));
        event.properties.refused = all.filter((one) => one.status === 'rejected').map((one) => one.reason.message).filter((text, at, all) => all.indexOf(text) === at);
        event.properties.answered = all.filter((one) => one.status === 'fulfilled').length;
        return event;
      }`,
    });
    await load(sandbox, 5, { 'index.js': LOCATE });
    const [greedy, modest] = await Promise.all([
      sandbox.invoke(4, [eventFrom('')], 5_000),
      sandbox.invoke(5, [eventFrom(KNOWN_IP)], 5_000),
    ]);
    expect(propertiesOf(greedy)[0]).toMatchObject({ refused: ['too many lookups at once'] });
    expect((propertiesOf(greedy)[0] as { answered: number }).answered).toBeGreaterThanOrEqual(100);
    expect(propertiesOf(modest)[0]).toMatchObject({ at: { country: { iso_code: 'SE' } } });
  });

  it('a plugin cannot reach the service behind it: what it is given is one function, which nothing of the child hangs on', async () => {
    await load(sandbox, 6, {
      'index.js': `export async function processEvent(event, { geoip }) {
        event.properties.keys = Object.keys(geoip);
        event.properties.foreign = Object.getOwnPropertyNames(globalThis).filter((name) => /ivm|net|socket|process|\\$/i.test(name));
        try { require('net') } catch (error) { event.properties.net = error.message }
        return event;
      }`,
    });
    expect(propertiesOf(await sandbox.invoke(6, [eventFrom('')], 5_000))).toEqual([
      expect.objectContaining({ keys: ['locate'], foreign: [], net: expect.stringContaining('Cannot import') as unknown }),
    ]);
  });
});

describe('meta.geoip without a database', () => {
  const clean: (() => Promise<unknown> | void)[] = [];
  afterEach(async () => {
    for (const end of clean.splice(0).reverse()) await end();
  });
  function sandboxOn(geoipPort: number | undefined): Sandbox {
    const sandbox = createSandbox({ clock: systemClock, geoipPort, graceMs: 500 });
    clean.push(() => sandbox.close());
    return sandbox;
  }
  /** A service that is not ours: takes questions and does what `serve` says. */
  async function otherService(serve: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      serve(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    clean.push(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  it("6.5: switched off, locate rejects with PostHog's words, and the event goes on", async () => {
    const sandbox = sandboxOn(undefined);
    await load(sandbox, 1, { 'index.js': LOCATE });
    expect(await sandbox.invoke(1, [eventFrom(KNOWN_IP)], 5_000)).toMatchObject([
      { type: 'failed', message: 'geoip database is not ready', event: eventFrom(KNOWN_IP) },
    ]);
  });

  it('a service that ends in the middle of a lookup rejects it', async () => {
    const sandbox = sandboxOn(await otherService((socket) => socket.once('data', () => socket.destroy())));
    await load(sandbox, 1, { 'index.js': LOCATE });
    const results = await sandbox.invoke(1, [eventFrom(KNOWN_IP), eventFrom(KNOWN_IP)], 5_000);
    expect(propertiesOf(results)).toEqual(['geoip database is not ready', 'geoip database is not ready']);
  });

  it('a service that goes away is found again when it is back', async () => {
    const port = await freePort();
    const sandbox = sandboxOn(port);
    await load(sandbox, 1, { 'index.js': LOCATE });
    const ask = async (): Promise<unknown> => propertiesOf(await sandbox.invoke(1, [eventFrom(KNOWN_IP)], 5_000))[0];
    expect(await ask()).toBe('geoip database is not ready');
    for (let times = 0; times < 2; times++) {
      const service = await startGeoIpService({ geoip: openDatabase(cityDatabase('Linköping')), port });
      expect(await ask()).toMatchObject({ at: { city: { names: { en: 'Linköping' } } } });
      await service.close();
      expect(await ask()).toBe('geoip database is not ready');
    }
  });

  it('a lookup that is never answered ends at the deadline of the plugin; its late answer harms nobody', async () => {
    const late: Socket[] = [];
    const port = await otherService((socket) => late.push(socket));
    const sandbox = sandboxOn(port);
    await load(sandbox, 1, { 'index.js': LOCATE });
    await load(sandbox, 2, { 'index.js': 'export function processEvent(event) { event.properties.well = true; return event }' });
    const before = sandbox.pid();
    const waits = sandbox.invoke(1, [eventFrom(KNOWN_IP)], DEADLINE_MS);
    const failed = expect(waits).rejects.toMatchObject({ code: 'deadline', culprit: 1 });
    expect(propertiesOf(await sandbox.invoke(2, [eventFrom('')], 5_000))).toEqual([{ $ip: '', well: true }]);
    await failed;
    for (const socket of late) socket.write('{"country":{"iso_code":"SE"}}\n');
    expect(propertiesOf(await sandbox.invoke(2, [eventFrom('')], 5_000))).toEqual([{ $ip: '', well: true }]);
    expect(sandbox.pid()).toBe(before);
  });
});
