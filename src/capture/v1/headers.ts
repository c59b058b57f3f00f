import type { IncomingHttpHeaders } from 'node:http';
import { isUuid } from '../../domain/uuid.ts';
import { badHeaders, done, NO_TOKEN, refuse, UNSUPPORTED_ENCODING, UNSUPPORTED_TYPE, type Attempt } from '../answers.ts';
import type { Compression } from '../inflate.ts';
import { checkToken } from '../token.ts';
import { parseRfc3339Ms } from './rfc3339.ts';

/** What the headers of a v1 request say (spec/capture.md 12). All of them are required but the last. */
export interface V1Headers {
  readonly token: string;
  /** Name and version of the SDK: `$lib`, `$lib_version` of its events. */
  readonly lib: string;
  readonly libVersion: string;
  readonly attempt: number;
  readonly requestId: string;
  /** When this attempt was sent, by the client's clock, epoch ms. */
  readonly sentAtMs: number;
  readonly compression: Compression | undefined;
}

const ENCODINGS: Readonly<Record<string, Compression | undefined>> = {
  identity: undefined,
  gzip: 'gzip',
  deflate: 'deflate',
  br: 'br',
  zstd: 'zstd',
};

/** Checked in this order: who, then of which kind, then the rest, of which all that is missing or wrong is named at once. */
export function readHeaders(headers: IncomingHttpHeaders): Attempt<V1Headers> {
  const bearer = /^bearer +(.*)$/i.exec(headers.authorization ?? '')?.[1];
  if (bearer === undefined) return refuse(NO_TOKEN);
  const token = checkToken(bearer);
  if (!token.ok) return token;
  if (headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() !== 'application/json') return refuse(UNSUPPORTED_TYPE);
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (!Object.hasOwn(ENCODINGS, encoding)) return refuse(UNSUPPORTED_ENCODING);

  const sdk = /^([^/\s]+)\/(\S+)$/.exec(one(headers['posthog-sdk-info']));
  const attempt = /^[1-9]\d{0,8}$/.exec(one(headers['posthog-attempt']));
  const requestId = one(headers['posthog-request-id']);
  const sentAtMs = parseRfc3339Ms(one(headers['posthog-request-timestamp']));
  const wrong = [
    ...((headers['user-agent'] ?? '') === '' ? ['User-Agent'] : []),
    ...(sdk === null ? ['PostHog-Sdk-Info'] : []),
    ...(attempt === null ? ['PostHog-Attempt'] : []),
    ...(isUuid(requestId) ? [] : ['PostHog-Request-Id']),
    ...(Number.isNaN(sentAtMs) ? ['PostHog-Request-Timestamp'] : []),
  ];
  if (wrong.length > 0) return refuse(badHeaders(wrong));
  const [, lib = '', libVersion = ''] = sdk ?? [];
  return done({
    token: token.value,
    lib,
    libVersion,
    attempt: Number(attempt?.[0]),
    requestId,
    sentAtMs,
    compression: ENCODINGS[encoding],
  });
}

const one = (header: string | string[] | undefined): string => (Array.isArray(header) ? (header[0] ?? '') : (header ?? '')).trim();
