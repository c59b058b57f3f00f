/**
 * What capture listens to (spec/capture.md 1.1, 14). Every route is served with and without its trailing slash, never
 * by a redirect: SDKs follow one as a GET without the body, and count the events as delivered.
 */
export type Route =
  /** Events in, any body shape on any of these paths. `path` is the template, safe as a label. */
  | { readonly type: 'events'; readonly path: string; readonly mayEngage: boolean }
  | { readonly type: 'flags' | 'decide' | 'flag-definitions' | 'surveys' | 'remote-config' | 'remote-config-script'; readonly path: string }
  | { readonly type: 'root' | 'readiness' | 'liveness'; readonly path: string }
  | { readonly type: 'not-found'; readonly path: 'unknown' };

const EVENT_PATHS = ['/e', '/i/v0/e', '/capture', '/track', '/engage', '/batch'];
const NOT_FOUND: Route = { type: 'not-found', path: 'unknown' };

const FIXED: ReadonlyMap<string, Route> = new Map<string, Route>([
  ...EVENT_PATHS.map((path): [string, Route] => [path, { type: 'events', path, mayEngage: path === '/engage' }]),
  ['/flags', { type: 'flags', path: '/flags' }],
  ['/decide', { type: 'decide', path: '/decide' }],
  ['/flags/definitions', { type: 'flag-definitions', path: '/flags/definitions' }],
  ['/api/surveys', { type: 'surveys', path: '/api/surveys' }],
  ['', { type: 'root', path: '/' }],
  ['/_readiness', { type: 'readiness', path: '/_readiness' }],
  ['/_liveness', { type: 'liveness', path: '/_liveness' }],
]);
const REMOTE_CONFIG = /^\/array\/[^/]+\/config(\.js)?$/;

/** Methods each kind of route answers to; the value of `Allow` when another one is used. */
export const POST_OR_GET = 'GET,POST,OPTIONS';

/** Finds the route of a request's URL (path and query). */
export function routeOf(url: string): Route {
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  const plain = path.endsWith('/') ? path.slice(0, -1) : path;
  const fixed = FIXED.get(plain);
  if (fixed !== undefined) return fixed;
  const config = REMOTE_CONFIG.exec(plain);
  if (config === null) return NOT_FOUND;
  return config[1] === undefined
    ? { type: 'remote-config', path: '/array/{token}/config' }
    : { type: 'remote-config-script', path: '/array/{token}/config.js' };
}
