import type { IncomingMessage, RequestListener, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { state, type Facts } from '../observe/facts.ts';
import type { Connections } from './connections.ts';

/**
 * What one client may cost a server before a handler sees anything of it. Each limit has a reason in
 * `http-connection-refused`; docs/capture.md has the table.
 */
export interface WireLimits {
  /** From the connection, or the first byte of a later request, to the end of its headers. Who sends nothing at all is closed without a word. @defaultValue 10,000 */
  readonly headersMs: number;
  /** From there to the end of the body, for handlers that do not read it; and how long a client may leave an answer unread. @defaultValue 125,000 */
  readonly requestMs: number;
  /** Request line and headers. @defaultValue 32 KiB */
  readonly headerBytes: number;
  /** @defaultValue 200 */
  readonly headerCount: number;
  /** Connections at a time; more are closed at once. @defaultValue 10,000 */
  readonly connectionCount: number;
  /** Requests of one connection that are not answered. @defaultValue 256 */
  readonly pipelineCount: number;
}

export const DEFAULT_WIRE_LIMITS: WireLimits = {
  headersMs: 10_000,
  requestMs: 125_000,
  headerBytes: 32 * 1024,
  headerCount: 200,
  connectionCount: 10_000,
  pipelineCount: 256,
};

/** How often Node looks for requests that are late. */
const CHECK_MS = 1_000;
/** Longer than the 60 s after which load balancers drop an idle connection: the side that closes first must not be us. */
const KEEP_ALIVE_MS = 75_000;

type Reason = Facts['http-connection-refused']['reason'];

/** Options of `createServer` for these limits. Parsing is strict: what proxies understand in two ways (two lengths, bare line feeds) is a 400. */
export function wireOptions({ headersMs, requestMs, headerBytes }: WireLimits): ServerOptions {
  return {
    headersTimeout: headersMs,
    requestTimeout: Math.max(requestMs, headersMs),
    connectionsCheckingInterval: Math.min(CHECK_MS, headersMs),
    maxHeaderSize: headerBytes,
    keepAliveTimeout: KEEP_ALIVE_MS,
  };
}

/** Puts the limits between a server and its handler. */
export function guardWire(
  server: Server,
  connections: Connections,
  { handle, limits, name }: { readonly handle: RequestListener; readonly limits: WireLimits; readonly name: string },
): void {
  const refused = (reason: Reason): void => state('http-connection-refused', { server: name, reason });

  server.maxConnections = limits.connectionCount;
  // With one more than allowed Node shows us that there are too many; at the limit itself it would hide the rest.
  server.maxHeadersCount = limits.headerCount + 1;
  server.setTimeout(limits.requestMs); // of silence in both directions: who does not read its answer
  server.on('drop', () => refused('connections'));

  server.on('request', (request, response) => {
    const tooMany = request.rawHeaders.length > 2 * limits.headerCount;
    if (!tooMany && connections.inWorkCount(request.socket) <= limits.pipelineCount) return handle(request, response);
    refused(tooMany ? 'headers-too-many' : 'pipelined');
    if (tooMany) turnAway(request, response, 431, 'too many header fields');
    else turnAway(request, response, 503, 'transient error, please retry');
  });

  // No tunnels: this is no proxy. An Upgrade is not taken up, and its request is answered as if it had not asked.
  server.on('connect', (_request, socket) => {
    refused('tunnel');
    socket.end(plainAnswer('405 Method Not Allowed', 'this is no proxy'));
  });

  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket;
    const [reason, answer] = whatHappened(error, socket, connections);
    if (reason !== undefined) refused(reason);
    // Behind a whole request that waits for its answer, ours would pass for that: SDKs throw away what a 4xx answers.
    if (answer !== undefined && socket.writable && connections.mayRefuse(socket)) socket.write(answer, 'latin1');
    socket.destroySoon();
  });
}

function whatHappened(error: NodeJS.ErrnoException, socket: Socket, connections: Connections): readonly [Reason?, string?] {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return ['headers-too-large', plainAnswer('431 Request Header Fields Too Large', 'the header fields are too large')];
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return ['malformed', plainAnswer('413 Payload Too Large', 'the chunk extensions are too large')];
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      if (connections.inWorkCount(socket) > 0 || !connections.mayRefuse(socket))
        return ['body-late', plainAnswer('408 Request Timeout', 'client stopped sending data')];
      // A browser connects before it has something to ask; an answer to nothing would confuse it.
      if (socket.bytesRead === 0) return ['silent'];
      return ['headers-late', plainAnswer('408 Request Timeout', 'client stopped sending data')];
    default:
      // Not a parser's: the connection is gone.
      if (error.code?.startsWith('HPE_') !== true) return [];
      return ['malformed', plainAnswer('400 Bad Request', 'this is not HTTP as it should be')];
  }
}

/** An answer over a connection that ends with it. What is still sent is not read for long: Node waits for its end as for any body. */
function turnAway(request: IncomingMessage, response: ServerResponse, status: number, body: string): void {
  request.resume();
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': body.length,
    Connection: 'close',
    ...(status === 503 ? { 'Retry-After': '1' } : {}),
  });
  response.end(body);
}

function plainAnswer(status: string, body: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
}
