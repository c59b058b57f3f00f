import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

const SINGLE_ADDRESS_HEADERS = ['x-real-ip', 'fly-client-ip', 'true-client-ip', 'cf-connecting-ip'];
const FORWARDED_FOR = /(?:^|[;,\s])for="?\[?([^\]";,\s]+)/gi;

/**
 * Where the request came from (spec/capture.md 6.4): the leftmost address a proxy named, else the peer's. The client can
 * put anything there; it is data for GeoIP, never a ground to allow something.
 */
export function clientIp(request: IncomingMessage): string {
  return namedByProxy(request.headers) ?? peerOf(request);
}

function peerOf(request: IncomingMessage): string {
  const peer = request.socket.remoteAddress ?? '';
  return peer.startsWith('::ffff:') ? peer.slice('::ffff:'.length) : peer;
}

function namedByProxy(headers: IncomingHttpHeaders): string | undefined {
  const { forwarded, 'x-forwarded-for': listed } = headers;
  if (listed !== undefined) {
    for (const address of [listed].flat().join(',').split(',')) if (isIP(address.trim()) !== 0) return address.trim();
  }
  if (forwarded !== undefined) {
    for (const [, address = ''] of forwarded.matchAll(FORWARDED_FOR)) {
      const found = addressIn(address);
      if (found !== undefined) return found;
    }
  }
  for (const name of SINGLE_ADDRESS_HEADERS) {
    const value = headers[name];
    const found = value === undefined ? undefined : addressIn(firstOf(value));
    if (found !== undefined) return found;
  }
  // Always with a port behind it, which a short IPv6 address could take for its own end.
  const viewer = headers['cloudfront-viewer-address'];
  return viewer === undefined ? undefined : withoutPort(firstOf(viewer));
}

const firstOf = (header: string | string[]): string => (Array.isArray(header) ? (header[0] ?? '') : header);

/** An address, or an address with a port behind it. */
function addressIn(text: string): string | undefined {
  const address = text.trim();
  if (isIP(address) !== 0) return address;
  return withoutPort(address);
}

function withoutPort(text: string): string | undefined {
  const address = text.trim();
  const bare = address.slice(0, address.lastIndexOf(':'));
  return isIP(bare) === 0 ? undefined : bare;
}
