import { createServer, request as ask, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { freePort } from './ports.ts';

/** One request as it crossed the wire, preflights and beacons included, which a browser's own tools hide. */
export interface Exchange {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** When its last byte came, and when the last of the answer went; `performance.now()`. */
  readonly cameMs: number;
  readonly answeredMs: number;
  readonly status: number;
}

/** An HTTP server in front of another: it changes nothing and keeps an account of everything. */
export interface Wire {
  readonly url: string;
  /** In the order of their answers. */
  readonly exchanges: readonly Exchange[];
  stop(): Promise<void>;
}

export async function startWire(target: string): Promise<Wire> {
  const { hostname, port: targetPort } = new URL(target);
  const exchanges: Exchange[] = [];

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const { method = 'GET', url = '/', headers } = request;
    const cameMs = performance.now();
    const note = (status: number): void =>
      void exchanges.push({ method, url, headers, body, cameMs, answeredMs: performance.now(), status });
    const onward = ask({ hostname, port: targetPort, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.on('end', () => note(answer.statusCode ?? 502));
    });
    onward.on('error', () => response.destroy()); // the browser shall see what the server did: a connection that breaks
    onward.end(body);
  }

  const server = createServer((request, response) => {
    // A page that goes away breaks its uploads off; there is nobody to answer then.
    serve(request, response).catch(() => response.destroy());
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${port}`,
    exchanges,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
