import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { clientIp } from '../../../src/capture/client-ip.ts';

const ipOf = (headers: Readonly<Record<string, string>>, peer = '::ffff:10.0.0.1'): string =>
  clientIp({ headers, socket: { remoteAddress: peer } } as unknown as IncomingMessage);

test.for<[name: string, headers: Readonly<Record<string, string>>, ip: string]>([
  ['the leftmost address of X-Forwarded-For', { 'x-forwarded-for': '1.2.3.4, 9.9.9.9' }, '1.2.3.4'],
  ['what is no address is skipped', { 'x-forwarded-for': 'unknown, 2001:db8::1' }, '2001:db8::1'],
  ['Forwarded', { forwarded: 'for="[2001:db8::2]:443";proto=https, for=9.9.9.9' }, '2001:db8::2'],
  ['X-Real-Ip', { 'x-real-ip': '1.2.3.5' }, '1.2.3.5'],
  ['X-Forwarded-For goes before it', { 'x-real-ip': '1.2.3.5', 'x-forwarded-for': '1.2.3.4' }, '1.2.3.4'],
  ['CF-Connecting-IP', { 'cf-connecting-ip': '1.2.3.6' }, '1.2.3.6'],
  ['CloudFront with a port', { 'cloudfront-viewer-address': '1.2.3.7:443' }, '1.2.3.7'],
  ['CloudFront with a short IPv6 address and a port', { 'cloudfront-viewer-address': '2001:db8::3:443' }, '2001:db8::3'],
  ['the peer, whose IPv4 address is written as one', {}, '10.0.0.1'],
])('6.4: %s', ([, headers, ip]) => {
  expect(ipOf(headers)).toBe(ip);
});
