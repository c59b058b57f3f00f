import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../runtime/clock.ts';

/** A server that listens. */
export interface Listening {
  /** The port it really has: another than asked for when that was 0. */
  readonly port: number;
  /** `http://host:port`, for people. */
  readonly url: string;
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
  /** For errors: what is listening, and the settings that move it, e.g. 'the capture server', 'TROUPE_CAPTURE_PORT'. */
  readonly name: string;
  readonly hostSetting: string;
  readonly portSetting: string;
}

/** Longer than the 60 s after which load balancers drop an idle connection: the side that closes first must not be us. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Starts an HTTP server. @throws Error that says what to do when the port is in use, needs rights, or the address is not
 * this machine's.
 */
export function listen(options: ListenOptions): Promise<Listening> {
  const { handle, host, port, clock } = options;
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, handle);
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(error, options)));
    server.listen(port, host, () => {
      const actual = (server.address() as AddressInfo).port;
      let closing: Promise<void> | undefined;
      resolve({
        port: actual,
        url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}`,
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
