import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/**
 * Role: the connections of one HTTP server, and how they end without failing a request.
 *
 *     open ──announce──▶ announcing ──closeIdle──▶ idle ones gone ──cut──▶ none
 *
 * The trouble with ending a kept-alive connection is that its client may write the next request in the moment in which we close it,
 * and is then reset. A client that has been answered with `Connection: close` will not: so that is said first, and who says
 * nothing is waited for.
 *
 * I1 While announcing, the last answer of each connection says `Connection: close`; an earlier one never does, for what a client has
 *    pipelined behind it would be lost.
 * I2 closeIdle ends no connection over which a request, or the beginning of one, has come and is not answered.
 */
export interface Connections {
  /** Answers say from now on that their connection ends. Idempotent. */
  announce(): void;
  /** Ends what has nothing in work. Connections that were opened and never used are such. */
  closeIdle(): void;
  /** Ends all, also in the middle of a handshake. Returns how many requests lost their answer. */
  cut(): number;
  /** Resolves when no connection is open, not counting those in a TLS handshake; at once when there is none. */
  ended(): Promise<void>;
  openCount(): number;
  /** Requests of a connection that are not answered. */
  inWorkCount(socket: Socket): number;
  /**
   * Whether what is written to the connection now would be taken for the answer to what is coming in: not behind a whole request that
   * waits for its answer, nor in the middle of an answer, nor after the answer to a request that is still being sent.
   */
  mayRefuse(socket: Socket): boolean;
  /** Connections ever. */
  takenCount(): number;
}

/** What is known of one connection. */
interface Line {
  /** Requests that are not answered: more than one when the client pipelines. */
  inWorkCount: number;
  newest: ServerResponse | undefined;
  /** What had been read when the last answer was given; more of it since means that a request is coming in. */
  settledBytes: number;
}

const NO_LINE: Line = { inWorkCount: 0, newest: undefined, settledBytes: 0 };

/** Knows the connections of a server from now on; to be called before it listens. */
export function trackConnections(server: Server): Connections {
  /** By what requests come over: with TLS that is another socket than the one that was connected, and is there after the handshake. */
  const lines = new Map<Socket, Line>();
  const sockets = new Set<Socket>();
  let announcing = false;
  let taken = 0;
  let waiting: (() => void)[] = [];

  function lineOf(socket: Socket): Line {
    let line = lines.get(socket);
    if (line !== undefined) return line;
    line = { inWorkCount: 0, newest: undefined, settledBytes: socket.bytesRead };
    lines.set(socket, line);
    socket.once('close', () => {
      lines.delete(socket);
      if (lines.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    });
    return line;
  }

  function begun({ socket }: IncomingMessage, response: ServerResponse): void {
    if (socket.destroyed) return;
    const line = lineOf(socket);
    line.inWorkCount++;
    if (announcing) takeBack(line.newest);
    line.newest = response;
    if (announcing) sayLast(response);
    response.once('close', () => {
      if (--line.inWorkCount === 0) line.settledBytes = socket.bytesRead;
    });
  }

  server.on('connection', (socket) => {
    taken++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', lineOf);
  server.on('request', begun);

  return {
    announce() {
      announcing = true;
      for (const { newest, inWorkCount } of lines.values()) if (inWorkCount > 0) sayLast(newest);
    },
    closeIdle() {
      for (const [socket, { inWorkCount, settledBytes }] of lines) {
        if (inWorkCount === 0 && socket.bytesRead === settledBytes) socket.destroySoon();
      }
    },
    cut() {
      let lost = 0;
      for (const { inWorkCount } of lines.values()) lost += inWorkCount;
      for (const socket of sockets) socket.destroy();
      return lost;
    },
    ended: () => (lines.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
    openCount: () => lines.size,
    inWorkCount: (socket) => lines.get(socket)?.inWorkCount ?? 0,
    mayRefuse(socket) {
      const { inWorkCount, newest } = lines.get(socket) ?? NO_LINE;
      if (newest === undefined) return true;
      return newest.req.complete ? inWorkCount === 0 : inWorkCount === 1 && !newest.headersSent;
    },
    takenCount: () => taken,
  };
}

/** An answer that is on its way already says what it says: the one after it will tell. */
function sayLast(response: ServerResponse | undefined): void {
  if (response?.headersSent === false) response.setHeader('Connection', 'close');
}

function takeBack(response: ServerResponse | undefined): void {
  if (response?.headersSent === false) response.removeHeader('Connection');
}
