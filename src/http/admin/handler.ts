import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { state } from '../../observe/facts.ts';
import type { Entry } from './door.ts';

/** Who does something, for the audit log. */
export interface Caller {
  /** Name of the token. */
  readonly who: string;
  readonly address: string | undefined;
}

/** What came of an action. `body` is answered as JSON; it holds no secrets. */
export interface AdminAnswer {
  readonly status: 200 | 400 | 422 | 503;
  readonly body: object;
}

/** What can be done; each is handed the JSON of the request's body, undefined when there is none. */
export type AdminAction = (caller: Caller, body: unknown) => AdminAnswer | Promise<AdminAnswer>;
/** By path, then by method. */
export type AdminRoutes = Readonly<Record<string, Readonly<Partial<Record<'GET' | 'PUT' | 'POST', AdminAction>>>>>;

export interface AdminHandlerOptions {
  readonly door: (authorization: string | undefined) => Promise<Entry>;
  readonly routes: AdminRoutes;
}

const BODY_BYTES = 4_096;

/** The handler of the admin server: JSON for people with a token. Without one nothing is told, not even which paths there are. */
export function createAdminHandler({ door, routes }: AdminHandlerOptions): RequestListener {
  async function answerTo(request: IncomingMessage): Promise<Answered> {
    const { method = 'GET', url = '/' } = request;
    const entry = await door(request.headers.authorization);
    if (entry.type === 'too-many') return refused(429, 'too many requests', { 'Retry-After': '10' });
    if (entry.type === 'refused') return refused(401, 'a token is needed: Authorization: Bearer …', { 'WWW-Authenticate': 'Bearer' });
    const caller: Caller = { who: entry.who, address: request.socket.remoteAddress };
    const path = url.split('?', 1)[0] ?? '/';
    const actions = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (actions === undefined) return { ...refused(404, `there are ${Object.keys(routes).join(', ')}`), who: entry.who };
    const action = Object.entries(actions).find(([one]) => one === method)?.[1];
    if (action === undefined)
      return { ...refused(405, 'method not allowed', { Allow: Object.keys(actions).join(', ') }), path, who: entry.who };
    const body = await readJson(request);
    if (body === 'too-large') return { ...refused(413, `a body has at most ${BODY_BYTES} bytes`), path, who: entry.who };
    if (body === 'no-json') return { ...refused(400, 'the body is no JSON'), path, who: entry.who };
    return { headers: {}, ...(await action(caller, body.value)), path, who: entry.who };
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answered: Answered;
    try {
      answered = await answerTo(request);
    } catch (error) {
      const fields = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
      state('log-written', { level: 'error', message: 'An admin request failed in a way nobody thought of.', fields });
      answered = refused(500, 'internal error');
    }
    const { status, headers, body, path = 'other', who } = answered;
    state('admin-request-answered', { method: request.method ?? 'GET', path, status, who });
    const text = `${JSON.stringify(body, undefined, 2)}\n`;
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': 'no-store',
      ...headers,
    });
    response.end(text);
    if (!request.complete) request.socket.end(); // what is left of a body that nobody reads
  }

  return (request, response) => void serve(request, response);
}

interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
  /** Of a route: what a stranger asks for is no label. */
  readonly path?: string;
  readonly who?: string;
}

const refused = (status: number, error: string, headers: Readonly<Record<string, string>> = {}): Answered => ({
  status,
  headers,
  body: { error },
});

async function readJson(request: IncomingMessage): Promise<{ readonly value: unknown } | 'too-large' | 'no-json'> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) return 'too-large';
    chunks.push(chunk);
  }
  if (bytes === 0) return { value: undefined };
  try {
    return { value: JSON.parse(Buffer.concat(chunks).toString()) };
  } catch {
    return 'no-json'; // told to the caller; JSON.parse throws for nothing else
  }
}
