import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { messageOf } from '../domain/strings.ts';
import { SHOP_HTML } from './pages/shop.html.ts';
import { SHOP_SCRIPT } from './pages/shop.script.ts';
import { SHOP_STYLE } from './pages/shop.style.ts';

/** A stored event, as the shop shows it. */
export interface ShopRow {
  readonly uuid: string;
  readonly event: string;
  readonly timestamp: string;
  readonly distinct_id: string;
  /** Whose it is after every merge so far. */
  readonly person: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface ShopPageOptions {
  readonly captureUrl: string;
  readonly token: string;
  /** Whether capture tells posthog-js to record. */
  readonly recordings: boolean;
  /** The rows that are visible, of these uuids of the demo's team. */
  readonly rowsOf: (uuids: readonly string[]) => Promise<readonly ShopRow[]>;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** As many as the page asks for at once. */
const MAX_UUIDS = 100;

/**
 * The demo's web shop: a page that uses posthog-js against capture, which is another origin, and shows the row of each event. `/rows` reads
 * back what `uuid` (several) names, `/settings` is what the page starts posthog-js with.
 */
export function shopPage({ captureUrl, token, recordings, rowsOf }: ShopPageOptions): RequestListener {
  // Own scripts, and those of posthog-js from capture; its recorder packs in a worker that it makes itself.
  const policy = [
    `default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
    `script-src 'self' ${captureUrl}; worker-src blob:; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self' ${captureUrl}`,
  ].join('; ');
  const files = new Map([
    ['/', { type: 'text/html', body: SHOP_HTML }],
    ['/shop.js', { type: 'text/javascript', body: SHOP_SCRIPT }],
    ['/shop.css', { type: 'text/css', body: SHOP_STYLE }],
    ['/settings', { type: 'application/json', body: JSON.stringify({ captureUrl, token, recordings }) }],
  ]);

  function send(response: ServerResponse, status: number, type: string, body: string): void {
    response.writeHead(status, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': 'no-store',
    });
    response.end(body);
  }
  const sendJson = (response: ServerResponse, status: number, value: unknown): void =>
    send(response, status, 'application/json', JSON.stringify(value));

  async function serve({ method, url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (method !== 'GET' && method !== 'HEAD') return sendJson(response, 405, { error: 'this page only reads' });
    const { pathname, searchParams } = new URL(url, 'http://shop');
    const file = files.get(pathname);
    if (file !== undefined) return send(response, 200, file.type, file.body);
    if (pathname !== '/rows') return sendJson(response, 404, { error: 'there are /, /rows and /settings' });
    const uuids = searchParams.getAll('uuid');
    if (uuids.length === 0 || uuids.length > MAX_UUIDS || !uuids.every((uuid) => UUID.test(uuid)))
      return sendJson(response, 400, { error: `1 to ${MAX_UUIDS} uuids are needed` });
    sendJson(response, 200, { rows: await rowsOf(uuids) });
  }

  return (request, response) => {
    serve(request, response).catch((error: unknown) => {
      sendJson(response, 500, { error: messageOf(error) });
    });
  };
}

/** SQL for {@link ShopPageOptions.rowsOf}; parameters `team` and `uuids`. */
export const SHOP_ROWS = `
  SELECT toString(e.uuid) AS uuid, event, toString(timestamp) AS timestamp, distinct_id, properties,
         toString(if(o.person != toUUID('00000000-0000-0000-0000-000000000000'), o.person, e.person_id)) AS person
  FROM events AS e
  LEFT JOIN (SELECT distinct_id, argMax(person_id, version) AS person FROM person_distinct_id_overrides WHERE team_id = {team:Int64} GROUP BY distinct_id) AS o
    ON e.distinct_id = o.distinct_id
  WHERE e.team_id = {team:Int64} AND e.uuid IN {uuids:Array(UUID)}`;
