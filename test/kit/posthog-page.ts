import { createServer } from 'node:http';
import { freePort } from '../services/ports.ts';

/** A web site that uses posthog-js, on an origin (and a site) of its own. */
export interface Pages {
  readonly origin: string;
  stop(): Promise<void>;
}

export interface PagesOptions {
  readonly captureUrl: string;
  readonly token: string;
  /** How posthog-js comes into the page: by PostHog's snippet, or as the module that bundlers take from npm. @defaultValue 'snippet' */
  readonly build?: 'snippet' | 'module';
  /** More of posthog-js's settings, as JSON. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** What posthog-js captured, by its own account. */
export interface Captured {
  readonly event: string;
  readonly uuid: string;
  readonly distinctId: string;
  /** The browser's clock. */
  readonly atMs: number;
}

/** Expression for the page: everything captured on this origin so far, also by pages that are gone. */
export const CAPTURED = `JSON.parse(localStorage.getItem('captured') ?? '[]')`;

/**
 * A shop (`/`), a second page (`/more`) and a farewell without any script. What posthog-js captures is written into the origin's storage
 * at once, so that what a page captured while it closed is known as well.
 */
export async function servePages({ captureUrl, token, build = 'snippet', settings = {} }: PagesOptions): Promise<Pages> {
  // Without opt_out_useragent_filter a driven browser is taken for a bot, and nothing is sent.
  const options = JSON.stringify({ api_host: captureUrl, opt_out_useragent_filter: true, ...settings });
  const hooks = `
      const note = (event, { uuid, properties, timestamp }) =>
        localStorage.setItem('captured', JSON.stringify([...${CAPTURED}, { event, uuid, distinctId: properties.distinct_id, atMs: +new Date(timestamp) }]));
      const settings = { ...${options}, loaded: () => { window.isLoaded = true; }, _onCapture: note };`;
  const heads = {
    // What a snippet leaves for array.js: a list of the projects that it shall start.
    snippet: `
    <script>${hooks}
      window.posthog = Object.assign([], { __SV: 1, _i: [[${JSON.stringify(token)}, settings, 'posthog']] });
    </script>
    <script async crossorigin="anonymous" src="${captureUrl}/static/array.js"></script>`,
    module: `
    <script type="module">${hooks}
      import posthog from '${captureUrl}/static/module.js';
      window.posthog = posthog;
      posthog.init(${JSON.stringify(token)}, settings);
    </script>`,
  };
  const page = (title: string, body: string, head = ''): string =>
    `<!doctype html><html><head><meta charset="utf-8"><title>${title}</title><link rel="icon" href="data:,">${head}</head><body>${body}</body></html>`;
  const answers = new Map([
    ['/', page('Shop', '<h1>Shop</h1><button id="buy">Buy</button> <a id="more" href="/more">More</a>', heads[build])],
    ['/more', page('More', '<h1>More</h1><label>Name <input id="name"></label>', heads[build])],
    ['/farewell', page('Farewell', '<h1>Farewell</h1>')],
  ]);
  const server = createServer((request, response) => {
    const html = answers.get(new URL(request.url ?? '/', 'http://page').pathname);
    response.writeHead(html === undefined ? 404 : 200, { 'Content-Type': 'text/html; charset=utf-8' }).end(html);
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    origin: `http://localhost:${port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
