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
  /** As the server answered it. */
  readonly status: number;
  /** The client never saw the answer. */
  readonly isLost: boolean;
}

/** An HTTP server in front of another: it changes nothing and keeps an account of everything. It can be made to lose answers. */
export interface Wire {
  readonly url: string;
  /** In the order of their answers. */
  readonly exchanges: readonly Exchange[];
  /** Whether from now on the connection breaks after the server has done what a POST asked for, and before the client hears of it. */
  loseAnswers(loses: boolean): void;
  stop(): Promise<void>;
}

export async function startWire(target: string): Promise<Wire> {
  const { hostname, port: targetPort } = new URL(target);
  const exchanges: Exchange[] = [];
  let isLosing = false;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const { method = 'GET', url = '/', headers } = request;
    const cameMs = performance.now();
    const onward = ask({ hostname, port: targetPort, method, path: url, headers }, (answer) => {
      const { statusCode: status = 502 } = answer;
      const isLost = isLosing && method === 'POST';
      answer.on('end', () => {
        exchanges.push({ method, url, headers, body, cameMs, answeredMs: performance.now(), status, isLost });
        if (isLost) response.destroy();
      });
      if (isLost) {
        answer.resume();
        return;
      }
      response.writeHead(status, answer.headers);
      answer.pipe(response);
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
    loseAnswers: (loses) => void (isLosing = loses),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
