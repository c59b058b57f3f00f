import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
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
}

export interface ListenOptions {
  readonly handle: RequestListener;
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  /** The first certificate of a server that speaks TLS, and nothing else. Absent: plain HTTP. */
  readonly tls?: TlsIdentity | undefined;
  /** For errors: what is listening, and the settings that move it, e.g. 'the capture server', 'TROUPE_CAPTURE_PORT'. */
  readonly name: string;
  readonly hostSetting: string;
  readonly portSetting: string;
}

/** Longer than the 60 s after which load balancers drop an idle connection: the side that closes first must not be us. */
const KEEP_ALIVE_MS = 75_000;
/** A TLS handshake takes two round trips; who needs longer holds a connection and sends nothing. */
const HANDSHAKE_MS = 10_000;

/**
 * Starts an HTTP server. @throws Error that says what to do when the port is in use, needs rights, or the address is not
 * this machine's.
 */
export function listen(options: ListenOptions): Promise<Listening> {
  const { host, port, clock, tls } = options;
  const { server, present } = tls === undefined ? plainServer(options) : tlsServer(options, tls);
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, options)));
    server.listen(port, host, () => {
      const actual = (server.address() as AddressInfo).port;
      let closing: Promise<void> | undefined;
      resolve({
        port: actual,
        url: `${tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${actual}`,
        present,
        close(graceMs) {
          closing ??= new Promise((closed) => {
            const limit = clock.after(graceMs, () => server.closeAllConnections());
            server.close(() => {
              limit.cancel();
              closed();
            });
          });
          return closing;
        },
      });
    });
  });
}

interface MadeServer extends Pick<Listening, 'present'> {
  readonly server: Server;
}

function plainServer({ handle, name }: ListenOptions): MadeServer {
  return {
    server: createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, handle),
    present() {
      throw new Error(`${name} listens without TLS`);
    },
  };
}

/** HTTP/1.1 alone, told by ALPN: a client that offers nothing else than h2 is turned away in the handshake (docs/adr/0024). */
function tlsServer({ handle, name }: ListenOptions, tls: TlsIdentity): MadeServer {
  const server = createTlsServer({ ...secured(tls), keepAliveTimeout: KEEP_ALIVE_MS, handshakeTimeout: HANDSHAKE_MS }, handle);
  server.on('tlsClientError', () => state('http-handshake-failed', { server: name }));
  return { server, present: (identity) => server.setSecureContext(secured(identity)) };
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
