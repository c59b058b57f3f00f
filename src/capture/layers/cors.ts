import { text } from '../answers.ts';
import type { Layer } from '../exchange.ts';

const METHODS = 'GET,POST,OPTIONS';
const MAX_AGE_S = '7200';
/** A shared answer never mutates: what a preflight adds are headers of its own response. */
const PREFLIGHT = Promise.resolve(text(''));

/**
 * Permits every origin, with credentials, on every response, errors included (spec/capture.md 1.2). The origin is
 * mirrored, never `*`: a browser hides a credentialed 200 behind `*`, and old SDKs then send again. OPTIONS is answered
 * here, on any path.
 */
export const cors: Layer = (next) => (exchange) => {
  const { request, response } = exchange;
  const { origin } = request.headers;
  if (origin !== undefined) {
    response.setHeader('Access-Control-Allow-Origin', origin);
    response.setHeader('Access-Control-Allow-Credentials', 'true');
    response.setHeader('Access-Control-Expose-Headers', 'Retry-After');
    response.setHeader('Vary', 'origin, access-control-request-method, access-control-request-headers');
  }
  if (request.method !== 'OPTIONS') return next(exchange);
  const asked = request.headers['access-control-request-headers'];
  response.setHeader('Access-Control-Allow-Methods', METHODS);
  response.setHeader('Access-Control-Max-Age', MAX_AGE_S);
  if (asked !== undefined) response.setHeader('Access-Control-Allow-Headers', asked);
  return PREFLIGHT;
};
