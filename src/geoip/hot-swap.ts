import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { GeoIpError, type GeoIp, type GeoIpSource } from './port.ts';
import { openDatabase, type GeoIpReader } from './reader.ts';

export interface GeoIpOptions {
  readonly source: GeoIpSource;
  readonly clock: Clock;
  /** Time between two looks at the source. Raising it: a new database is taken later. Lowering it: the source is asked more often. */
  readonly pollMs: number;
}

/**
 * The process's one GeoIP database. Looks at its source again and again, and puts a new database in the old one's place.
 *
 *     empty ──good──▶ ready ──good──▶ ready (new)
 *       ╰─────bad─────▶ as before ◀──────╯ bad, gone, changed while it was read
 *
 * I1  A database is taken whole or not at all; a lookup sees the old one or the new one. What is bad leaves the old one in its place.
 * I2  A version that was refused is not read again; a version that changed while it was read is, at the next look.
 * I3  One look at a time; none after `close`.
 * I4  Nothing that the source does ends the process or the watching: it is stated, and looked at again.
 * I5  The first look is over when this resolves, so that the first event finds what there is.
 */
export async function createGeoIp(options: GeoIpOptions): Promise<GeoIp> {
  const { source, clock, pollMs } = options;
  let reader: GeoIpReader | undefined;
  /** The version that was taken or refused last (I2). */
  let judged: string | undefined;
  let refusal: string | undefined;
  let isClosed = false;
  let timer = { cancel: (): void => undefined };

  async function look(): Promise<void> {
    try {
      const version = await source.version();
      if (version !== undefined && version !== judged) await take(version);
    } catch (error) {
      refuse(error instanceof Error ? error.message : 'not an Error was thrown'); // I4
    }
  }

  async function take(version: string): Promise<void> {
    const startedMs = clock.monotonic();
    const bytes = await source.read();
    if ((await source.version()) !== version) return refuse('it changed while it was read'); // I2
    judged = version;
    const next = openDatabase(bytes);
    reader = next; // I1
    refusal = undefined;
    const { databaseType, builtAtMs } = next;
    state('geoip-database-loaded', {
      source: source.name,
      databaseType,
      builtAtMs,
      bytes: bytes.length,
      durationMs: clock.monotonic() - startedMs,
    });
  }

  function refuse(message: string): void {
    refusal = message;
    state('geoip-database-refused', { source: source.name, message, keepsOld: reader !== undefined });
  }

  function watch(): void {
    if (isClosed) return; // I3
    timer = clock.after(pollMs, () => void look().then(watch));
  }

  await look(); // I5
  watch();
  return {
    locate(ip) {
      if (reader === undefined) throw new GeoIpError('not-ready', 'geoip database is not ready');
      return reader.locate(ip);
    },
    ready: () => reader !== undefined,
    refusal: () => refusal,
    close() {
      isClosed = true;
      timer.cancel();
    },
  };
}
