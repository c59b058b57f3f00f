import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Server as NetServer, type AddressInfo } from 'node:net';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { sleep, withinMs } from '../runtime/patience.ts';
import { trackConnections, type Connections } from './connections.ts';
import { DEFAULT_WIRE_LIMITS, guardWire, wireOptions, type WireLimits } from './wire.ts';
import { secured, type TlsIdentity } from './tls-identity.ts';

/** A server that listens. */
export interface Listening {
  /** The port it really has: another than asked for when that was 0. */
  readonly port: number;
  /** `http://host:port`, or `https://…`, for people. */
  readonly url: string;
  /**
   * Shows this certificate to connections from now on; those that are open live on with theirs. @throws Error when the server listens
   * without TLS.
   */
  present(identity: TlsIdentity): void;
  /**
   * Takes no more connections, ends the idle ones, and waits for requests in work; after `graceMs` those are cut.
   * Idempotent; resolves when the port is free.
   */
  close(graceMs: number): Promise<void>;
  /** The same without failing a request: see {@link DrainPhases}. Idempotent together with `close`: the first call counts. */
  drain(phases: DrainPhases): Promise<void>;
}

/** How long a server that stops waits for what, one after the other. A phase ends early when nothing is left to wait for. */
export interface DrainPhases {
  /** New connections are still taken, so that whoever sends them hears of it (a balancer reads readiness every few seconds). Never ends early. */
  readonly announceMs: number;
  /** None are taken any more; idle ones stay open, and their clients hear with the next answer that it was the last. */
  readonly lingerMs: number;
  /** Idle ones are closed; requests in work are waited for, and cut after this. */
  readonly graceMs: number;
}

export interface ListenOptions {
  readonly handle: RequestListener;
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  /** The first certificate of a server that speaks TLS, and nothing else. Absent: plain HTTP. */
  readonly tls?: TlsIdentity | undefined;
  /** What one client may cost. @defaultValue DEFAULT_WIRE_LIMITS */
  readonly limits?: Partial<WireLimits>;
  /** For errors: what is listening, and the settings that move it, e.g. 'the capture server', 'TROUPE_CAPTURE_PORT'. */
  readonly name: string;
  readonly hostSetting: string;
  readonly portSetting: string;
}

/** A TLS handshake takes two round trips; who needs longer holds a connection and sends nothing. */
const HANDSHAKE_MS = 10_000;

/**
 * Starts an HTTP server. @throws Error that says what to do when the port is in use, needs rights, or the address is not
 * this machine's.
 */
export function listen(options: ListenOptions): Promise<Listening> {
  const { handle, host, port, tls, name } = options;
  const limits = { ...DEFAULT_WIRE_LIMITS, ...options.limits };
  const { server, present } = tls === undefined ? plainServer(options, limits) : tlsServer(options, limits, tls);
  const connections = trackConnections(server);
  guardWire(server, connections, { handle, limits, name });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, options)));
    server.listen(port, host, () => {
      const actual = (server.address() as AddressInfo).port;
      let closing: Promise<void> | undefined;
      const drain = (phases: DrainPhases): Promise<void> => (closing ??= drainServer(server, connections, options, phases));
      resolve({
        port: actual,
        url: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${actual}`,
        present,
        close: (graceMs) => drain({ announceMs: 0, lingerMs: 0, graceMs }),
        drain,
      });
    });
  });
}

interface MadeServer extends Pick<Listening, 'present'> {
  readonly server: Server;
}

function plainServer({ name }: ListenOptions, limits: WireLimits): MadeServer {
  return {
    server: createServer(wireOptions(limits)),
    present() {
      throw new Error(`${name} listens without TLS`);
    },
  };
}

/** HTTP/1.1 alone, told by ALPN: a client that offers nothing else than h2 is turned away in the handshake (docs/adr/0024). */
function tlsServer({ name }: ListenOptions, limits: WireLimits, tls: TlsIdentity): MadeServer {
  const server = createTlsServer({ ...secured(tls), ...wireOptions(limits), handshakeTimeout: HANDSHAKE_MS });
  server.on('tlsClientError', () => state('http-handshake-failed', { server: name }));
  return { server, present: (identity) => server.setSecureContext(secured(identity)) };
}

async function drainServer(
  server: Server,
  connections: Connections,
  { clock, name }: Pick<ListenOptions, 'clock' | 'name'>,
  { announceMs, lingerMs, graceMs }: DrainPhases,
): Promise<void> {
  const begunMs = clock.monotonic();
  const openCount = connections.openCount();
  connections.announce();
  if (announceMs > 0) await sleep(clock, announceMs);
  await accepted(connections);
  // Not http's own close, which ends idle connections at once.
  const freed = new Promise<void>((resolve) => void NetServer.prototype.close.call(server, () => resolve()));
  if (lingerMs > 0) await withinMs(clock, lingerMs, connections.ended());
  connections.closeIdle();
  await withinMs(clock, graceMs, connections.ended());
  const cutCount = connections.cut();
  await freed;
  server.close(); // its own timers
  state('http-server-drained', { name, openCount, cutCount, durationMs: clock.monotonic() - begunMs });
}

/** Node's default backlog: as many may have been waiting when it began, and Node takes one in a turn. */
const ACCEPT_TURNS = 512;

/**
 * Who has connected and is not taken yet is reset when the port closes, with the request that is already written. So it is closed right after a turn of the
 * event loop in which nobody was left to take.
 */
async function accepted(connections: Connections): Promise<void> {
  for (let turn = 0, before = -1; turn < ACCEPT_TURNS && before !== connections.takenCount(); turn++) {
    before = connections.takenCount();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function explain(error: NodeJS.ErrnoException, { name, host, port, hostSetting, portSetting }: ListenOptions): Error {
  const where = `${name} cannot listen on ${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new Error(`${where}: the port is in use. Set ${portSetting} to another one; 0 takes a free one`, { cause: error });
    case 'EACCES':
      return new Error(`${where}: ports below 1024 need rights this process has not. Set ${portSetting} to a higher one`, { cause: error });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Error(`${where}: no such address on this machine. Set ${hostSetting} to one of its own, or to 0.0.0.0`, { cause: error });
    default:
      return new Error(`${where}: ${error.message}`, { cause: error });
  }
}
