import { isIP } from 'node:net';
import { Reader, type Response } from 'maxmind';
import { toCityRecord } from './city-record.ts';
import { GeoIpError, type CityRecord } from './port.ts';

/** One database, in memory. */
export interface GeoIpReader {
  /** As the file calls itself, e.g. `GeoLite2-City`. */
  readonly databaseType: string;
  readonly builtAtMs: number;
  locate(ip: string): CityRecord | null;
}

/** Zeros between the search tree and the data. */
const SEPARATOR_BYTES = 16;
/** Asked of every new database: a first look into tree and data of both address families. */
const TRIALS = ['1.1.1.1', '81.2.69.142', '203.0.113.9', '2001:4860:4860::8888', '::1'];

/**
 * Opens a database. What a writer that was cut off leaves behind is refused: the description of the file is its last part.
 * @throws GeoIpError 'unreadable'
 */
export function openDatabase(bytes: Buffer): GeoIpReader {
  const reader = open(bytes);
  const { binaryFormatMajorVersion, searchTreeSize, databaseType, buildEpoch } = reader.metadata;
  if (binaryFormatMajorVersion !== 2) throw unreadable(`its format is ${binaryFormatMajorVersion}, only 2 is known`);
  const separator = bytes.subarray(searchTreeSize, searchTreeSize + SEPARATOR_BYTES);
  if (separator.length < SEPARATOR_BYTES || separator.some((byte) => byte !== 0)) throw unreadable('its tree is not as long as it says');
  const database: GeoIpReader = {
    databaseType,
    builtAtMs: buildEpoch.getTime(),
    locate(ip) {
      // The reader takes ::ffff:8.8.8.8 for an address of its own.
      const address = ip.replace(/^::ffff:(?=\d+\.)/i, '');
      if (isIP(address) === 0) return null;
      let record: Response | null;
      try {
        record = reader.get(address);
      } catch (error) {
        throw new GeoIpError('unreadable', 'the GeoIP database is damaged where this address leads', { cause: error });
      }
      return record === null || typeof record !== 'object' ? null : toCityRecord(record as unknown as Record<string, unknown>);
    },
  };
  for (const ip of TRIALS) database.locate(ip);
  return database;
}

function open(bytes: Buffer): Reader<Response> {
  try {
    return new Reader<Response>(bytes);
  } catch (error) {
    throw unreadable(error instanceof Error ? error.message : 'not an Error was thrown', error);
  }
}

function unreadable(reason: string, cause?: unknown): GeoIpError {
  return new GeoIpError('unreadable', `it is no MMDB file, or only a part of one: ${reason}`, { cause });
}
