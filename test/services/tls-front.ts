import { connect, type AddressInfo, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { Identity } from './certificates.ts';

/** TLS in front of a server that has none. */
export interface TlsFront {
  readonly port: number;
  stop(): Promise<void>;
}

/** Takes TLS connections on 127.0.0.1 and hands their bytes to `target`, a port there. */
export async function startTlsFront(target: number, { cert, key }: Identity): Promise<TlsFront> {
  const sockets = new Set<Socket>();
  const server = createServer({ cert, key }, (outside) => {
    const inside = connect(target, '127.0.0.1');
    for (const socket of [outside, inside]) {
      sockets.add(socket);
      // A side that breaks off takes the other with it; what it was is for the client to say.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        outside.destroy();
        inside.destroy();
      });
    }
    outside.pipe(inside).pipe(outside);
  });
  server.on('tlsClientError', () => undefined); // refused certificates are what the tests are about
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
