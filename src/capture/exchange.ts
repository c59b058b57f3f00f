import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TraceContext } from '../domain/event.ts';
import type { Answer } from './answers.ts';
import type { Route } from './routes.ts';

/** One request on its way to its answer: what all layers and stages know of it. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly route: Route;
  readonly query: URLSearchParams | undefined;
  /** When the request arrived, epoch ms: the `now` of its events. */
  readonly receivedMs: number;
  /** The same moment on the monotonic clock. */
  readonly begunMs: number;
  /** What the facts of the request say of it, filled in as it becomes known. */
  readonly account: Account;
}

export interface Account {
  /** The `X-Request-Id` it came with, or the one it was given. */
  requestId: string;
  /** Of a sampled request: the span that its records continue. */
  trace: TraceContext | undefined;
  /** Whose events they are; in log lines masked. */
  token: string | undefined;
  /** Of a request with one event: its uuid. */
  eventId: string | undefined;
  /** Events that could be read. */
  eventCount: number;
  /** Body as sent. */
  bytes: number;
}

/** Ends an exchange with its answer. Never rejects for what a client or an outside system does. */
export type Handler = (exchange: Exchange) => Promise<Answer>;

/** Something that every request passes on its way in, and every answer on its way out. */
export type Layer = (next: Handler) => Handler;

/** The layers around a handler; the first one is the outermost. */
export function chain(layers: readonly Layer[], last: Handler): Handler {
  return layers.reduceRight((next, layer) => layer(next), last);
}
