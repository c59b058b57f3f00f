import { connect } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';

export interface Address {
  readonly host: string;
  readonly port: number;
}

const LOOK_MS = 2_000;

/**
 * What a port speaks, found out by offering it a TLS handshake: 'tls' when it takes part in it, 'plain' when it takes the connection
 * and does not, 'nothing' when nobody listens. No certificate is verified and nothing is sent: it is a look, not a connection.
 */
export async function listenerSpeaks({ host, port }: Address): Promise<'tls' | 'plain' | 'nothing'> {
  if (!(await opens({ host, port }))) return 'nothing';
  const options: ConnectionOptions = { host, port, rejectUnauthorized: false };
  return new Promise((resolve) => {
    const socket = connectTls(options);
    const end = (speaks: 'tls' | 'plain') => (): void => {
      socket.destroy();
      resolve(speaks);
    };
    socket.setTimeout(LOOK_MS, end('plain'));
    socket.once('secureConnect', end('tls'));
    // An alert of the other side (a client certificate is wanted) is an answer in TLS; anything else is not.
    socket.once('error', (error: Error) => end(/alert/i.test(error.message) ? 'tls' : 'plain')());
  });
}

function opens({ host, port }: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (isOpen: boolean) => (): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(LOOK_MS, end(false));
    socket.once('connect', end(true));
    socket.once('error', end(false));
  });
}
