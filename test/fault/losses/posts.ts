import { runLoad, type Pace } from '../../kit/http-load.ts';

/** The documented collector's own sample event (spec/capture.md 16.2, row 16), as long as asked for, with a number that finds it again. */
export function bodyOf(n: number, bytes: number): string {
  const event = {
    uuid: `0192f1c0-5f5e-7d5e-8d0e-${String(n).padStart(12, '0')}`,
    event_time: '2026-11-21 12:00:00',
    page: 'home',
    element: 'buy',
    attrs: { title: '', user_id: 42 },
  };
  const padding = Math.max(0, bytes - JSON.stringify(event).length);
  return JSON.stringify({ ...event, attrs: { ...event.attrs, title: 'x'.repeat(padding) } });
}

/** The number in a body; undefined for any text that is not byte by byte what {@link bodyOf} made. */
export function numberOf(body: string, bytes: number): number | undefined {
  const digits = /^\{"uuid":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-(\d{12})"/.exec(body)?.[1];
  if (digits === undefined) return undefined;
  const n = Number(digits);
  return body === bodyOf(n, bytes) ? n : undefined;
}

export interface Posted {
  /** Numbers of the bodies that were answered 200. */
  readonly answered: readonly number[];
  /** Answered anything else: the client knows that it has to try again. */
  readonly refused: number;
}

export interface PostsOptions {
  readonly port: number;
  readonly topic: string;
  readonly bodyBytes: number;
  readonly pace: Pace;
}

const CONNECTIONS = 32;

/** Posts bodies 0, 1, 2, … to `/putmessage`, each once. Rejects when the server hangs up. */
export async function postBodies({ port, topic, bodyBytes, pace }: PostsOptions): Promise<Posted> {
  const answered: number[] = [];
  let refused = 0;
  let next = 0;
  await runLoad({
    port,
    connections: CONNECTIONS,
    pace,
    next() {
      const body = bodyOf(next, bodyBytes);
      const head = `POST /putmessage HTTP/1.1\r\nHost: 127.0.0.1\r\ntopic: ${topic}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
      return { request: Buffer.from(head + body), tag: next++ };
    },
    answered(status, n) {
      if (status === 200) answered.push(n);
      else refused++;
    },
  });
  return { answered, refused };
}
