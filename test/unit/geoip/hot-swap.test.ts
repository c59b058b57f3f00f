import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGeoIp } from '../../../src/geoip/hot-swap.ts';
import type { GeoIp, GeoIpSource } from '../../../src/geoip/port.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { manualClock } from '../../kit/clock.ts';
import { cityDatabase, KNOWN_IP } from '../../kit/geoip.ts';

const POLL_MS = 1_000;

/** A source whose content a test sets; every change is a new version. */
function testSource() {
  const held = { bytes: undefined as Buffer | undefined, version: 0, reads: 0, failure: undefined as Error | undefined };
  const source: GeoIpSource = {
    name: 'a test',
    async version() {
      await Promise.resolve();
      if (held.failure !== undefined) throw held.failure;
      return held.bytes === undefined ? undefined : String(held.version);
    },
    async read() {
      await Promise.resolve();
      held.reads++;
      return held.bytes ?? Buffer.alloc(0);
    },
  };
  const put = (bytes: Buffer | undefined): void => {
    held.bytes = bytes;
    held.version++;
  };
  return { held, source, put };
}

describe('the GeoIP database of a process', () => {
  let stop: (() => void)[];
  let facts: (Facts['geoip-database-loaded'] | Facts['geoip-database-refused'])[];
  beforeEach(() => {
    facts = [];
    stop = [observe('geoip-database-loaded', (fact) => facts.push(fact)), observe('geoip-database-refused', (fact) => facts.push(fact))];
  });
  afterEach(() => {
    for (const end of stop) end();
  });

  async function start(first?: Buffer) {
    const clock = manualClock();
    const test = testSource();
    if (first !== undefined) test.put(first);
    const geoip = await createGeoIp({ source: test.source, clock, pollMs: POLL_MS });
    const look = async (): Promise<void> => {
      clock.advance(POLL_MS);
      await new Promise(setImmediate);
    };
    return { ...test, clock, geoip, look };
  }
  const cityOf = (geoip: GeoIp): string | undefined => geoip.locate(KNOWN_IP)?.city?.names?.en;

  it('I5: is there before anybody can ask', async () => {
    const { geoip } = await start(cityDatabase('Old'));
    expect(geoip.ready()).toBe(true);
    expect(cityOf(geoip)).toBe('Old');
    expect(facts).toEqual([expect.objectContaining({ source: 'a test', databaseType: 'GeoLite2-City', builtAtMs: 1_700_000_000_000 })]);
  });

  it('without one every question is refused by name, until one is there', async () => {
    const { geoip, put, look } = await start();
    expect(geoip.ready()).toBe(false);
    expect(() => geoip.locate(KNOWN_IP)).toThrow('geoip database is not ready');
    put(cityDatabase('New'));
    await look();
    expect(cityOf(geoip)).toBe('New');
  });

  it('I1: a new one takes the place of the old one while it is used; what did not change is not read again', async () => {
    const { geoip, put, look, held } = await start(cityDatabase('Old'));
    await look();
    expect(held.reads).toBe(1);
    put(cityDatabase('New'));
    expect(cityOf(geoip)).toBe('Old');
    await look();
    expect(cityOf(geoip)).toBe('New');
  });

  it('I1, I2: a broken or half-written one is stated once, and the old one stays until a whole one comes', async () => {
    const { geoip, put, look, held } = await start(cityDatabase('Old'));
    const next = cityDatabase('New');
    put(next.subarray(0, next.length / 2));
    await look();
    await look();
    expect(cityOf(geoip)).toBe('Old');
    expect(geoip.refusal()).toContain('only a part of one');
    expect(held.reads).toBe(2);
    expect(facts.slice(1)).toEqual([{ source: 'a test', message: geoip.refusal(), keepsOld: true }]);
    put(next);
    await look();
    expect(cityOf(geoip)).toBe('New');
    expect(geoip.refusal()).toBeUndefined();
  });

  it('I2: one that changed while it was read is not taken, and read again at the next look', async () => {
    const { geoip, put, look, source } = await start(cityDatabase('Old'));
    const read = source.read.bind(source);
    const next = cityDatabase('New');
    put(next);
    source.read = async () => {
      const bytes = await read();
      put(next); // written on meanwhile
      return bytes;
    };
    await look();
    expect(cityOf(geoip)).toBe('Old');
    expect(geoip.refusal()).toBe('it changed while it was read');
    source.read = read;
    await look();
    expect(cityOf(geoip)).toBe('New');
  });

  it('I4: neither a source that fails nor one that is gone ends the watching or takes the old one away', async () => {
    const { geoip, put, look, held } = await start(cityDatabase('Old'));
    held.failure = new Error('the database is away');
    await look();
    expect(geoip.refusal()).toBe('the database is away');
    held.failure = undefined;
    put(undefined);
    await look();
    expect(cityOf(geoip)).toBe('Old');
    put(cityDatabase('New'));
    await look();
    expect(cityOf(geoip)).toBe('New');
  });

  it('I3: nobody looks after close, not even a look that was under way', async () => {
    const { geoip, clock, put, held } = await start(cityDatabase('Old'));
    put(cityDatabase('New'));
    clock.advance(POLL_MS);
    geoip.close();
    await new Promise(setImmediate);
    const { reads } = held;
    expect(clock.pendingCount).toBe(0);
    put(cityDatabase('Newer'));
    clock.advance(10 * POLL_MS);
    await new Promise(setImmediate);
    expect(held.reads).toBe(reads);
  });
});
