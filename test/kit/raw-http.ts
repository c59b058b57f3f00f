import { connect } from 'node:net';

/**
 * One keep-alive connection that carries one whole request at a time: what `fetch` does for a hundredth of its CPU, for loads that
 * share their machine with what they load.
 */
export interface RawConnection {
  /** Writes a request; its status comes to `answered`. Only when the last one was answered. */
  send(request: Buffer): void;
  end(): void;
}

export interface RawHandlers {
  /** The whole answer to the last request is there. */
  readonly answered: (status: number) => void;
  /** The connection is gone, and with it the answer to a request that was under way. Not called after `end`. */
  readonly closed: (error: Error) => void;
}

/** Resolves when connected. */
export function openRawConnection(port: number, { answered, closed }: RawHandlers): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let seen = '';
    let isOver = false;
    const lose = (error: Error): void => {
      if (isOver) return;
      isOver = true;
      closed(error);
    };
    socket.setEncoding('latin1');
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', lose);
      socket.on('close', () => lose(new Error('the server closed the connection')));
      resolve({
        send: (request) => void socket.write(request),
        end() {
          isOver = true;
          socket.end();
        },
      });
    });
    socket.on('data', (text: string) => {
      seen += text;
      if (!isWhole(seen)) return;
      const status = Number(seen.slice(9, 12)); // HTTP/1.1 200
      seen = '';
      answered(status);
    });
  });
}

/** Whether the text holds a whole answer: by its length, or to the last chunk. */
function isWhole(text: string): boolean {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd));
  return length === null ? text.endsWith('0\r\n\r\n') : text.length >= headEnd + 4 + Number(length[1]);
}
