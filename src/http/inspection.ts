import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { messageOf } from '../domain/strings.ts';
import type { LedgerSnapshot } from '../kafka/ledger.ts';
import { state } from '../observe/facts.ts';
import type { DeadLetter } from '../runtime/dead-letters.ts';
import type { ActorSnapshot, TreeSnapshot } from '../runtime/inspect.ts';
import { inspectorPage } from './pages/inspector.html.ts';

/**
 * What the inspector shows; `main.ts` adapts the runtime, the ledgers and the stores to it. Read-only: nothing here may
 * change what is looked at, nor wait for an actor.
 */
export interface InspectionSource {
  /** The tree, with at most `childLimitCount` children listed per parent. */
  tree(childLimitCount: number): TreeSnapshot;
  /** Actors in tree order. */
  actors(filter: { readonly kind?: string; readonly limitCount: number }): readonly ActorSnapshot[];
  actor(path: string): ActorSnapshot | undefined;
  ledgers(): Promise<readonly LedgerReport[]>;
  /** The person of an id, as stored; any JSON. Undefined when there is none. */
  person(of: { readonly teamId: number; readonly distinctId: string }): Promise<object | undefined>;
  /** The event's row, as stored; any JSON. Undefined when there is none. */
  event(uuid: string): Promise<object | undefined>;
  deadLetters(): Promise<DeadLetterReport>;
}

export interface LedgerReport extends LedgerSnapshot {
  /** The broker's end offset when records were last fetched; undefined before. */
  readonly highWatermark: number | undefined;
}

export interface DeadLetterReport {
  /** Messages that found no actor: count by reason, and the last of them. */
  readonly messages: { readonly counts: Readonly<Record<string, number>>; readonly recent: readonly DeadLetter[] };
  /** Poison events in the dead-letter topic: count by reason since the start, and the last of them, newest first. */
  readonly events: { readonly counts: Readonly<Record<string, number>>; readonly recent: readonly DeadEvent[] };
}

export interface DeadEvent {
  readonly reason: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly atMs: number;
}

export interface InspectionOptions {
  readonly source: InspectionSource;
  /** Names besides `localhost` and addresses under which a browser may ask for the inspector. */
  readonly allowedHosts?: readonly string[];
}

/** Totals of one kind of actor, for the top of the page. */
interface KindTotals {
  kind: string;
  count: number;
  mailboxDepth: number;
  oldestAgeMs: number;
  restarts: number;
}

const TREE_CHILD_COUNT = 50;
const DEFAULT_LIMIT_COUNT = 50;
/** Most actors looked at for a sorted list or the totals; 100,000 snapshots would hold the loop for a tenth of a second. */
const SCAN_COUNT = 20_000;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

const SORTS = {
  mailbox: (actor: ActorSnapshot) => actor.mailboxDepth,
  age: (actor: ActorSnapshot) => actor.oldestAgeMs,
  busy: (actor: ActorSnapshot) => actor.currentForMs ?? 0,
  restarts: (actor: ActorSnapshot) => actor.restartsInWindow,
  handled: (actor: ActorSnapshot) => actor.handledCount,
} as const;

/** A request that cannot be answered as asked. */
class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Handler of the inspection server: JSON under `/inspect/`, a page for people at `/`. It asks for no password, so it
 * belongs on the loopback; and since any web page can make a browser send requests there, a request whose `Host` is
 * no address, not `localhost` and not allowed is refused (a foreign name that resolves to 127.0.0.1 reads nothing).
 */
export function createInspectionHandler({ source, allowedHosts = [] }: InspectionOptions): RequestListener {
  const allowed = new Set(allowedHosts.map((host) => host.toLowerCase()));

  function scan(kind?: string): readonly ActorSnapshot[] {
    return source.actors({ limitCount: SCAN_COUNT, ...(kind === undefined ? {} : { kind }) });
  }

  function sorted(query: URLSearchParams): readonly ActorSnapshot[] {
    const limit = limitOf(query);
    const sort = query.get('sort');
    const kind = query.get('kind') ?? undefined;
    if (sort === null) return source.actors({ limitCount: limit, ...(kind === undefined ? {} : { kind }) });
    if (!Object.hasOwn(SORTS, sort)) throw new Refusal(400, `sort is one of ${Object.keys(SORTS).join(', ')}`);
    const by = SORTS[sort as keyof typeof SORTS];
    return scan(kind)
      .toSorted((a, b) => by(b) - by(a))
      .slice(0, limit);
  }

  async function answer(path: string, query: URLSearchParams): Promise<unknown> {
    switch (path) {
      case '/inspect/tree':
        return source.tree(limitOf(query, TREE_CHILD_COUNT));
      case '/inspect/kinds':
        return totals(scan());
      case '/inspect/actors':
        return sorted(query);
      case '/inspect/ledger':
        return (await source.ledgers()).map((ledger) => ({ ...ledger, lag: lagOf(ledger) }));
      case '/inspect/dead-letters':
        return source.deadLetters();
      case '/inspect/person': {
        const teamId = Number(query.get('team') ?? '');
        const distinctId = query.get('distinct_id') ?? '';
        if (!Number.isSafeInteger(teamId) || teamId <= 0 || distinctId === '')
          throw new Refusal(400, 'team=<number>&distinct_id=<text> is needed');
        return found(await source.person({ teamId, distinctId }), 'no person has this distinct_id');
      }
    }
    const event = after(path, '/inspect/event/');
    if (event !== undefined) {
      if (!UUID.test(event)) throw new Refusal(400, 'an event is asked for by its uuid');
      return found(await source.event(event.toLowerCase()), 'no such event is stored');
    }
    const actor = after(path, '/inspect/actor/');
    if (actor !== undefined) return found(source.actor(`/${actor}`), 'no such actor lives');
    throw new Refusal(404, 'there are /inspect/{tree,kinds,actors,actor/<path>,person,event/<uuid>,dead-letters,ledger}');
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (!isOurName(request.headers.host, allowed)) throw new Refusal(403, 'this name is not one of the inspector; see its allowed hosts');
      if (request.method !== 'GET' && request.method !== 'HEAD') throw new Refusal(405, 'the inspector only reads');
      const { pathname, searchParams } = new URL(request.url ?? '/', 'http://inspector');
      if (pathname === '/' || pathname === '/inspect' || pathname === '/inspect/') {
        const { html, policy } = inspectorPage();
        send(response, 200, 'text/html; charset=utf-8', html, { 'Content-Security-Policy': policy });
        return;
      }
      send(response, 200, 'application/json', JSON.stringify(await answer(decoded(pathname), searchParams)));
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500;
      const message = messageOf(error);
      if (status === 500) state('log-written', { level: 'warn', message: 'The inspector could not answer.', fields: { error: message } });
      send(response, status, 'application/json', JSON.stringify({ error: message }));
    }
  }

  return (request, response) => void serve(request, response);
}

function totals(actors: readonly ActorSnapshot[]): readonly KindTotals[] {
  const byKind = new Map<string, KindTotals>();
  for (const actor of actors) {
    let total = byKind.get(actor.kind);
    if (total === undefined) byKind.set(actor.kind, (total = { kind: actor.kind, count: 0, mailboxDepth: 0, oldestAgeMs: 0, restarts: 0 }));
    total.count++;
    total.mailboxDepth += actor.mailboxDepth;
    total.oldestAgeMs = Math.max(total.oldestAgeMs, actor.oldestAgeMs);
    total.restarts += actor.restartsInWindow;
  }
  return [...byKind.values()].sort((a, b) => b.count - a.count);
}

function lagOf({ highWatermark, watermark }: LedgerReport): number | undefined {
  return highWatermark === undefined ? undefined : Math.max(0, highWatermark - watermark);
}

function limitOf(query: URLSearchParams, otherwise = DEFAULT_LIMIT_COUNT): number {
  const limit = Number(query.get('limit') ?? otherwise);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) throw new Refusal(400, 'limit is a number from 1 to 1000');
  return limit;
}

function found<T>(value: T | undefined, otherwise: string): T {
  if (value === undefined) throw new Refusal(404, otherwise);
  return value;
}

function after(path: string, prefix: string): string | undefined {
  return path.startsWith(prefix) && path.length > prefix.length ? path.slice(prefix.length) : undefined;
}

function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    throw new Refusal(400, 'the path is not a well-formed URL');
  }
}

function isOurName(host: string | undefined, allowed: ReadonlySet<string>): boolean {
  if (host === undefined) return true; // HTTP/1.0, no browser
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return name === 'localhost' || isIP(name.replace(/^\[|\]$/g, '')) !== 0 || allowed.has(name);
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...more,
  });
  response.end(body);
}
