import http from 'node:http';
import https from 'node:https';
import type { Clock } from '../runtime/clock.ts';
import { answeredError, codeIn, toClickHouseError } from './errors.ts';
import { ClickHouseError, type Block } from './port.ts';

/**
 * Inserts go through node:http and not through the client: a block is one Buffer that is ready, so it can be sent with
 * its Content-Length in one write (the client wants a stream and sends chunks), and only here can be told whether a
 * failed request had left the machine, which decides between "send again" and "ask first".
 */
export interface InserterOptions {
  readonly url: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly clock: Clock;
  /** Deadline of one insert; also sent as max_execution_time, which is hygiene and no bound (delivery.md section 3). */
  readonly insertTimeoutMs: number;
  /** How the server's certificate is verified; undefined for http. */
  readonly tls: { readonly ca?: string; readonly rejectUnauthorized: boolean } | undefined;
  /** The table to insert into, for each that the rows name. */
  readonly tableOf: (table: string) => string;
}

export interface Inserter {
  insert(block: Block): Promise<void>;
  close(): void;
}

/** Below ClickHouse's own keep-alive (10 s, before 24.x 3 s), so that an idle socket is closed by us first. */
const IDLE_SOCKET_MS = 2_000;
const MIN_EXECUTION_SECONDS = 5;
/** An answer to an insert is empty or an error message. */
const ANSWER_BYTES = 64 * 1024;

export function createInserter(options: InserterOptions): Inserter {
  const base = new URL(options.url);
  const secure = base.protocol === 'https:';
  const agentOptions = { keepAlive: true, timeout: IDLE_SOCKET_MS, scheduling: 'lifo' as const };
  const agent = secure ? new https.Agent({ ...agentOptions, ...options.tls }) : new http.Agent(agentOptions);
  const request = secure ? https.request : http.request;
  const fixed = new URLSearchParams({
    database: options.database,
    async_insert: '0',
    wait_end_of_query: '1',
    max_execution_time: String(Math.max(MIN_EXECUTION_SECONDS, Math.ceil(options.insertTimeoutMs / 1000))),
  }).toString();
  const paths = new Map<string, string>();

  function pathOf(block: Block): string {
    let path = paths.get(block.table);
    if (path === undefined) {
      const columns = block.columns.map((column) => `\`${column}\``).join(', ');
      const query = `INSERT INTO ${options.tableOf(block.table)} (${columns}) FORMAT RowBinary`;
      path = `${base.pathname}?${fixed}&query=${encodeURIComponent(query)}`;
      paths.set(block.table, path);
    }
    path += `&query_id=${encodeURIComponent(block.queryId)}`;
    return block.deduplicationToken === undefined
      ? path
      : `${path}&insert_deduplication_token=${encodeURIComponent(block.deduplicationToken)}`;
  }

  function insert(block: Block): Promise<void> {
    return new Promise((resolve, reject) => {
      let connected = false;
      const sent = request({
        protocol: base.protocol,
        hostname: base.hostname.replace(/^\[|\]$/g, ''), // an IPv6 address stands in brackets in a URL only
        port: base.port,
        path: pathOf(block),
        method: 'POST',
        agent,
        headers: {
          'Content-Length': block.body.length,
          'Content-Type': 'application/octet-stream',
          'X-ClickHouse-User': options.user,
          ...(options.password === '' ? {} : { 'X-ClickHouse-Key': options.password }),
        },
      });
      const deadline = options.clock.after(options.insertTimeoutMs, () => {
        sent.destroy(new ClickHouseError('unknown', `no answer to the insert within ${options.insertTimeoutMs} ms`));
      });
      const failed = (error: unknown): void => {
        deadline.cancel();
        const known = toClickHouseError(error);
        // A connection that never came up has carried nothing, whatever the error is called (TLS has dozens).
        const neverSent = !connected && known.code === undefined && known.kind === 'unknown';
        reject(neverSent ? new ClickHouseError('unavailable', known.message, undefined, { cause: error }) : known);
      };
      sent.on('socket', (socket) => {
        const isUp = (): void => {
          connected = true;
        };
        if (socket.connecting) socket.once(secure ? 'secureConnect' : 'connect', isUp);
        else isUp();
      });
      sent.on('error', failed);
      sent.on('response', (answer) => {
        readAnswer(answer).then((text) => {
          deadline.cancel();
          const error = errorIn(answer, text);
          if (error === undefined) resolve();
          else reject(error);
        }, failed);
      });
      sent.end(block.body);
    });
  }

  return {
    insert,
    close() {
      agent.destroy();
    },
  };
}

async function readAnswer(answer: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= ANSWER_BYTES) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Undefined for a clean 200 only: no exception in a header, nothing in the body. */
function errorIn(answer: http.IncomingMessage, text: string): ClickHouseError | undefined {
  const header = answer.headers['x-clickhouse-exception-code'];
  if (answer.statusCode === 200 && header === undefined && text.trim() === '') return undefined;
  const code = typeof header === 'string' && /^\d+$/.test(header) ? Number(header) : codeIn(text);
  return answeredError(code, text.trim() === '' ? `HTTP status ${answer.statusCode}` : text);
}
