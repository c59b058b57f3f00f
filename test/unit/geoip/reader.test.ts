import { describe, expect, it } from 'vitest';
import { GeoIpError } from '../../../src/geoip/port.ts';
import { openDatabase } from '../../../src/geoip/reader.ts';
import { cityDatabase, cityRecord, KNOWN_IP, UNKNOWN_IP } from '../../kit/geoip.ts';
import { double, uint16, uint64, writeMmdb } from '../../kit/mmdb-writer.ts';

describe('a GeoIP database', () => {
  it('answers with the record of the network that an address is in, and null for every other', () => {
    const reader = openDatabase(cityDatabase('Linköping'));
    expect(reader.databaseType).toBe('GeoLite2-City');
    expect(reader.builtAtMs).toBe(1_700_000_000_000);
    for (const ip of [KNOWN_IP, '89.160.20.0', '89.160.20.255', '2001:db8:1::7']) {
      expect(reader.locate(ip)).toMatchObject({
        city: { names: { en: 'Linköping' } },
        location: { accuracy_radius: 20, longitude: -17.25 },
      });
    }
    for (const ip of [UNKNOWN_IP, '89.160.21.0', '89.160.19.255', '2001:db8:2::7']) expect(reader.locate(ip)).toBeNull();
  });

  it('takes an IPv4 address inside an IPv6 one for what it is', () => {
    expect(openDatabase(cityDatabase('Linköping')).locate(`::ffff:${KNOWN_IP}`)).toMatchObject({ country: { iso_code: 'SE' } });
  });

  it.each(['', 'localhost', '89.160.20', '89.160.20.112 ', '1.2.3.4.5', 'x'.repeat(10_000), '::ffff:', '89.160.20.112/24'])(
    'says nothing of %j, which is no address',
    (ip) => {
      expect(openDatabase(cityDatabase('Linköping')).locate(ip)).toBeNull();
    },
  );

  it('brings flat records into the shape of City, with the name of the country where the code is one', () => {
    const flat = {
      city: 'Lima',
      country_code: 'PE',
      latitude: double(-12),
      longitude: double(-77),
      postcode: '15001',
      state1: 'Lima',
      timezone: 'America/Lima',
    };
    const reader = openDatabase(
      writeMmdb('dbip', [
        ['10.0.0.0/8', { country_code: 'DE' }],
        ['11.0.0.0/8', { country_code: 'EU1' }],
        ['12.0.0.0/8', flat],
        ['13.0.0.0/8', 'a text'],
      ]),
    );
    expect(reader.locate('10.1.1.1')).toEqual({ country: { iso_code: 'DE', names: { en: 'Germany' } } });
    expect(reader.locate('11.1.1.1')).toEqual({ country: { iso_code: 'EU1' } });
    expect(reader.locate('12.1.1.1')).toEqual({
      country: { iso_code: 'PE', names: { en: 'Peru' } },
      city: { names: { en: 'Lima' } },
      postal: { code: '15001' },
      subdivisions: [{ names: { en: 'Lima' } }],
      location: { latitude: -12, longitude: -77, time_zone: 'America/Lima' },
    });
    expect(reader.locate('13.1.1.1')).toBeNull();
  });

  it('is refused whole when it is a part of one, at whatever byte the writer was cut off', () => {
    const whole = cityDatabase('Linköping');
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => openDatabase(whole.subarray(0, length)), `${length} bytes`).toThrow(GeoIpError);
    }
    expect(() => openDatabase(whole.subarray(40))).toThrow(/no MMDB file, or only a part of one/); // and when its beginning is missing
  });

  it('is refused when it is something else', () => {
    for (const other of [
      Buffer.alloc(0),
      Buffer.from('<html>404</html>'),
      Buffer.alloc(1 << 20),
      Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'),
    ]) {
      expect(() => openDatabase(other)).toThrow(GeoIpError);
    }
  });
});

describe('the writer of fixtures', () => {
  it('writes every type and size that the reader knows, and equal records once', () => {
    const record = {
      yes: true,
      no: false,
      zero: 0,
      most: 0xffff_ffff,
      small: uint16(65_535),
      great: uint64(2 ** 40),
      fraction: 0.5,
      negative: -3,
      list: [1, 'two', [3]],
      empty: {},
      short: 'x'.repeat(28),
      long: 'y'.repeat(29),
      longer: 'z'.repeat(284),
      longest: 'å'.repeat(40_000),
      many: Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`k${index}`, index])),
    };
    const reader = openDatabase(writeMmdb('types', [['10.0.0.0/8', record]]));
    expect(reader.locate('10.0.0.1')).toEqual({ ...record, small: 65_535, great: expect.anything() as unknown });
    expect(Number(reader.locate('10.0.0.1')?.['great'])).toBe(2 ** 40);
    const one = writeMmdb('one', [['10.0.0.0/8', cityRecord('SE', 'A')]]);
    const two = writeMmdb('two', [['10.0.0.0/8', cityRecord('SE', 'A')], ['11.0.0.0/8', cityRecord('SE', 'A')]]); // prettier-ignore
    expect(two.length - one.length).toBeLessThan(100);
  });

  it('refuses networks that overlap, and what is no network', () => {
    const write = (...networks: string[]) => (): Buffer => writeMmdb('x', networks.map((network) => [network, 'x'] as const)); // prettier-ignore
    expect(write('10.0.0.0/8', '10.1.0.0/16')).toThrow('10.1.0.0/16 overlaps');
    expect(write('10.1.0.0/16', '10.0.0.0/8')).toThrow('10.0.0.0/8 overlaps');
    expect(write('10.0.0.0/33')).toThrow('is no network');
    expect(write('ten/8')).toThrow('is no network');
  });
});
