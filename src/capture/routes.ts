/** What a route takes besides OPTIONS, which every path answers; HEAD goes with GET. */
type Methods = readonly ('GET' | 'POST')[];

/**
 * What capture listens to (spec/capture.md 1.1, 14). Every route is served with and without its trailing slash, never
 * by a redirect: SDKs follow one as a GET without the body, and count the events as delivered. `path` is the template,
 * safe as a label.
 */
export type Route =
  /** Events in, any body shape on any of these paths. */
  | { readonly type: 'events'; readonly path: string; readonly methods: Methods; readonly mayEngage: boolean }
  | { readonly type: SdkRouteType; readonly path: string; readonly methods: Methods }
  /** `file` is a name without a folder. */
  | { readonly type: 'static'; readonly path: string; readonly methods: Methods; readonly file: string }
  | {
      readonly type: 'events-v1' | 'recordings' | 'putmessage' | 'black-hole' | 'root' | 'readiness' | 'liveness';
      readonly path: string;
      readonly methods: Methods;
    }
  | { readonly type: 'not-found'; readonly path: 'unknown' };

/** What SDKs ask besides sending events. */
export type SdkRouteType = (typeof SDK_ROUTE_TYPES)[number];
const SDK_ROUTE_TYPES = [
  'flags',
  'decide',
  'flag-definitions',
  'surveys',
  'early-access-features',
  'web-experiments',
  'product-tours',
  'remote-config',
  'remote-config-script',
] as const;

export function isSdkRoute(route: Route): route is Extract<Route, { readonly type: SdkRouteType }> {
  return SDK_ROUTE_TYPES.some((type) => type === route.type);
}

const GET: Methods = ['GET'];
const POST: Methods = ['POST'];
const BOTH: Methods = ['GET', 'POST'];

const ROUTES: readonly Route[] = [
  ...['/e', '/i/v0/e', '/capture', '/track', '/engage', '/batch'].map((path): Route => ({
    type: 'events',
    path,
    methods: BOTH,
    mayEngage: path === '/engage',
  })),
  { type: 'events', path: '/i/v0/ai/batch', methods: POST, mayEngage: false },
  { type: 'events-v1', path: '/i/v1/analytics/events', methods: POST },
  { type: 'recordings', path: '/s', methods: BOTH },
  { type: 'black-hole', path: '/test/black_hole', methods: BOTH },
  { type: 'flags', path: '/flags', methods: BOTH },
  { type: 'decide', path: '/decide', methods: BOTH },
  { type: 'flag-definitions', path: '/flags/definitions', methods: GET },
  { type: 'surveys', path: '/api/surveys', methods: GET },
  { type: 'early-access-features', path: '/api/early_access_features', methods: GET },
  { type: 'web-experiments', path: '/api/web_experiments', methods: GET },
  { type: 'product-tours', path: '/api/product_tours', methods: GET },
  { type: 'root', path: '/', methods: GET },
  { type: 'readiness', path: '/_readiness', methods: GET },
  { type: 'liveness', path: '/_liveness', methods: GET },
];
const FIXED: ReadonlyMap<string, Route> = new Map(ROUTES.map((route) => [route.path === '/' ? '' : route.path, route]));

/** Whether events or recordings are sent to a path, which is written without its trailing slash. */
export function takesEvents(path: string): boolean {
  const type = FIXED.get(path)?.type;
  return type === 'events' || type === 'events-v1' || type === 'recordings';
}

/** Served on exactly this path (spec/capture.md 16.2, row 1). */
const PUTMESSAGE: Route = { type: 'putmessage', path: '/putmessage', methods: POST };
const NOT_FOUND: Route = { type: 'not-found', path: 'unknown' };
const CONFIG: Route = { type: 'remote-config', path: '/array/{token}/config', methods: GET };
const CONFIG_SCRIPT: Route = { type: 'remote-config-script', path: '/array/{token}/config.js', methods: GET };
/** posthog-js puts its version between, newer ones. */
const STATIC = /^\/static\/(?:[^/]+\/)?([^/]+\.js)$/;
const REMOTE_CONFIG = /^\/array\/[^/]+\/config(\.js)?$/;

/** The scheme and the host of a URL in absolute form, as proxies are asked; a server must take it as well (RFC 9112, 3.2.2). */
const AUTHORITY = /^https?:\/\/[^/?]*/i;

/** Path and query of a request's target. */
export function originForm(target: string): string {
  return target.startsWith('/') ? target : target.replace(AUTHORITY, '') || '/';
}

/** Finds the route of a request's URL (path and query). */
export function routeOf(url: string): Route {
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  if (path === PUTMESSAGE.path) return PUTMESSAGE;
  const plain = path.endsWith('/') ? path.slice(0, -1) : path;
  const fixed = FIXED.get(plain);
  if (fixed !== undefined) return fixed;
  const file = STATIC.exec(path)?.[1];
  if (file !== undefined) return { type: 'static', path: '/static/{file}', methods: GET, file };
  const config = REMOTE_CONFIG.exec(plain);
  if (config === null) return NOT_FOUND;
  return config[1] === undefined ? CONFIG : CONFIG_SCRIPT;
}
