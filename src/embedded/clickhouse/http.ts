import { randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { messageOf } from '../../domain/strings.ts';
import type { Engine } from './engine.ts';
import { readStatement, settingsStatement } from './statement.ts';

/** Above the largest block, and far below what would hurt. */
const MAX_BODY_BYTES = 300 * 1024 * 1024;

/** ClickHouse's HTTP status for some of its codes; 500 for the others. */
const STATUS_OF_CODE = new Map([
  ...[6, 26, 27, 36, 47, 53, 62, 115, 117].map((code) => [code, 400] as const),
  ...[60, 81].map((code) => [code, 404] as const),
  ...[497, 516].map((code) => [code, 403] as const),
  [159, 408] as const,
  [202, 429] as const,
]);

/**
 * ClickHouse's HTTP interface over the engine: as much of it as `@clickhouse/client` and `curl` use. What it does not do:
 * sessions and temporary tables across requests, users and roles, progress headers, streamed answers (an answer is made
 * whole first), and ending a query whose asker left (set max_execution_time, or KILL QUERY: that works).
 */
export function createHttpServer(engine: Engine, secret: string): Server {
  return createServer({ requestTimeout: 0 }, (request, response) => {
    answer(engine, secret, request, response).catch((error: unknown) => {
      refuse(response, error);
    });
  });
}

async function answer(engine: Engine, secret: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://embedded');
  const params = url.searchParams;
  if (url.pathname === '/ping' || (request.method === 'GET' && !params.has('query'))) {
    response.end('Ok.\n');
    return;
  }
  if (!isAllowed(secret, request, params)) {
    throw new Error(
      'Code: 516. DB::Exception: Authentication failed: the password is in the URL that the start gave. (AUTHENTICATION_FAILED)',
    );
  }
  const queryId = params.get('query_id') ?? headerOf(request, 'x-clickhouse-query-id') ?? randomUUID();
  const statement = readStatement(params.get('query') ?? '', await readBody(request));
  const answerFormat = params.get('default_format') ?? headerOf(request, 'x-clickhouse-format') ?? 'TabSeparated';
  const bytes = await engine.run({
    statement,
    database: params.get('database') ?? headerOf(request, 'x-clickhouse-database') ?? 'default',
    settings: settingsStatement(params, queryId),
    answerFormat,
    wanted: () => !request.socket.destroyed,
  });
  const format = statement.answerFormat ?? answerFormat;
  response.setHeader('X-ClickHouse-Query-Id', queryId);
  response.setHeader('X-ClickHouse-Server-Display-Name', 'troupe-embedded');
  response.setHeader('X-ClickHouse-Timezone', 'UTC');
  response.setHeader('X-ClickHouse-Format', format);
  response.setHeader('X-ClickHouse-Summary', '{}'); // the engine does not say
  response.setHeader('Content-Type', contentTypeOf(format));
  response.end(bytes);
}

function contentTypeOf(format: string): string {
  if (/^JSON\w*EachRow$/.test(format)) return 'application/x-ndjson; charset=UTF-8';
  return format.startsWith('JSON') ? 'application/json; charset=UTF-8' : 'text/tab-separated-values; charset=UTF-8';
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of decoded(request) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error(`Code: 131. DB::Exception: a body above ${MAX_BODY_BYTES} bytes. (TOO_LARGE_STRING_SIZE)`);
    chunks.push(chunk);
  }
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

function decoded(request: IncomingMessage): Readable {
  switch (request.headers['content-encoding']) {
    case 'gzip':
      return request.pipe(createGunzip());
    case 'deflate':
      return request.pipe(createInflate());
    case 'br':
      return request.pipe(createBrotliDecompress());
    case 'zstd':
      return request.pipe(createZstdDecompress());
    default:
      return request;
  }
}

/** Without a password any page in a browser on this machine could send statements to a port of loopback. */
function isAllowed(secret: string, request: IncomingMessage, params: URLSearchParams): boolean {
  const [scheme, encoded = ''] = (request.headers.authorization ?? '').split(' ');
  const basic = scheme === 'Basic' ? Buffer.from(encoded, 'base64').toString('utf8').split(':').slice(1).join(':') : undefined;
  const given = Buffer.from(headerOf(request, 'x-clickhouse-key') ?? basic ?? params.get('password') ?? '');
  const wanted = Buffer.from(secret);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function refuse(response: ServerResponse, error: unknown): void {
  const message = messageOf(error);
  const code = Number(/Code: (\d+)\./.exec(message)?.[1] ?? 1000); // 1000: POCO_EXCEPTION, ClickHouse's own word for "something else"
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.statusCode = STATUS_OF_CODE.get(code) ?? 500;
  response.setHeader('X-ClickHouse-Exception-Code', String(code));
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8');
  response.end(message.startsWith('Code:') ? `${message}\n` : `Code: ${code}. DB::Exception: ${message}\n`);
}
