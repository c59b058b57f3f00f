import { isIP } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { GeoIpError, type GeoIp } from './port.ts';

export interface GeoIpServiceOptions {
  readonly geoip: Pick<GeoIp, 'locate'>;
  /** 0 takes a free one. */
  readonly port: number;
  /** More are turned away. @defaultValue 32 */
  readonly connectionsCount?: number;
}

export interface GeoIpService {
  readonly port: number;
  /** Ends listening and every connection; resolves when all are gone. */
  close(): Promise<void>;
}

/** An address has at most 45 characters (an IPv4 address inside an IPv6 one). */
const MAX_LINE_CHARS = 64;

/**
 * The internal MMDB service: lookups for child processes, on the loopback only. One line is one question, one line the answer.
 *
 *     question    an IP address, \n
 *     answer      JSON of a City record, or null, or the text "not-ready" or "unreadable", \n
 *
 *     connection:  open ──bad line, error, end, close()──▶ closed
 *                    ╰─answers not taken─▶ full ─taken─▶ open
 *
 * I1  Each whole line gets one answer, in order, also when many come at once.
 * I2  A line that is no address, or is longer than any address, closes that connection: whoever sends it does not speak this
 *     protocol. Others are not disturbed.
 * I3  A connection holds at most one line and the socket's buffer: while its answers are not taken, its questions are not read.
 * I4  No more than `connectionsCount` connections at once.
 * I5  After close there is no connection and no listener.
 *
 * @throws Error when the port cannot be had
 */
export async function startGeoIpService(options: GeoIpServiceOptions): Promise<GeoIpService> {
  const { geoip, port, connectionsCount = 32 } = options;
  const connections = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    serve(socket, geoip);
  });
  server.maxConnections = connectionsCount; // I4
  await listening(server, port);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the MMDB service has no port');
  return {
    port: address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.destroy(); // I5
      }),
  };
}

function serve(socket: Socket, geoip: Pick<GeoIp, 'locate'>): void {
  let rest = '';
  // A client that dies in the middle of something is no concern of ours; 'close' follows.
  socket.on('error', () => undefined);
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    let answers = '';
    for (const line of lines) {
      const address = line.endsWith('\r') ? line.slice(0, -1) : line;
      if (address.length > MAX_LINE_CHARS || isIP(address) === 0) return void socket.destroy(); // I2
      answers += `${answerTo(address, geoip)}\n`;
    }
    if (rest.length > MAX_LINE_CHARS) return void socket.destroy(); // I2
    if (answers !== '' && !socket.write(answers)) {
      socket.pause(); // I3
      socket.once('drain', () => socket.resume());
    }
  });
}

function answerTo(address: string, geoip: Pick<GeoIp, 'locate'>): string {
  try {
    return JSON.stringify(geoip.locate(address), textOfBig);
  } catch (error) {
    if (error instanceof GeoIpError) return JSON.stringify(error.code);
    throw error;
  }
}

/** An uint64 or uint128 of a database, which JSON has no word for. */
const textOfBig = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new Error(`The MMDB service cannot listen on 127.0.0.1:${port}: ${error.message}. Change INTERNAL_MMDB_SERVER_PORT.`, {
          cause: error,
        }),
      );
    });
    server.listen(port, '127.0.0.1', () => resolve());
  });
}
