import { isAscii, isUtf8 } from 'node:buffer';
import { gunzip, gunzipSync } from 'node:zlib';
import { done, EMPTY_PAYLOAD, oversize, refuse, undecodable, type Attempt } from './answers.ts';

/** What a request says about its payload besides the body. */
export interface PayloadHints {
  readonly query: URLSearchParams | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
}

/** Inflates gzip. Resolves to 'too-large' as soon as more than `limitBytes` came out. Rejects when it is no gzip. */
export type Inflate = (bytes: Buffer, limitBytes: number) => Promise<Buffer | 'too-large'>;

type Compression = 'gzip' | 'lz64' | 'base64';

/** How much of a payload is looked at to tell what it is. */
const SNIFF_BYTES = 128;
const COMPRESSIONS: Readonly<Record<string, Compression>> = {
  gzip: 'gzip',
  'gzip-js': 'gzip',
  lz64: 'lz64',
  'lz-string': 'lz64',
  base64: 'base64',
  b64: 'base64',
};

/**
 * From bytes on the wire to JSON text (spec/capture.md 2, steps 3-8), whichever way the client wrapped it: in the query,
 * a form, base64, gzip, or several of them. What the bytes look like decides; hints come second, since SDKs and
 * proxies give wrong ones. Wider than upstream in three places, each of them data that upstream loses:
 * - base64 is unwrapped on every path (newer posthog-js sends it to `/i/v0/e/`);
 * - a form is a form with any `charset` behind its content type;
 * - `Content-Encoding: gzip` on bytes that are not gzip any more (a proxy unpacked them) is ignored. The same claim in
 *   the query or the form stays an error.
 */
export async function decodePayload(body: Buffer, hints: PayloadHints, inflate: Inflate, limitBytes: number): Promise<Attempt<string>> {
  const inQuery = hints.query?.get('data');
  let payload = inQuery ? Buffer.from(repairBase64(inQuery)) : body;
  if (payload.length === 0) return refuse(EMPTY_PAYLOAD);
  let hint = compressionOf(hints.query?.get('compression'));

  if (!looksLikeForm(payload)) payload = unwrapBase64(payload);
  if (hints.contentType?.startsWith('application/x-www-form-urlencoded') === true && !inQuery) {
    if (!looksLikeForm(payload)) {
      // A form that was base64 as a whole, or gzip under the browser's default content type: both are told by their bytes.
      if (!isGzip(payload) && payload === body) return refuse(undecodable('expected form data in POST request payload'));
    } else {
      const form = new URLSearchParams(payload.toString());
      payload = unwrapBase64(Buffer.from(repairBase64(form.get('data') ?? '')));
      hint ??= compressionOf(form.get('compression'));
      if (payload.length === 0) return refuse(EMPTY_PAYLOAD);
    }
  }

  if (hint === 'lz64') return refuse(undecodable('lz64 is not supported'));
  const isCompressed = isGzip(payload);
  if (hint === 'gzip' && !isCompressed) return refuse(undecodable('invalid GZIP data'));
  if (isCompressed) {
    let inflated: Buffer | 'too-large';
    try {
      inflated = await inflate(payload, limitBytes);
    } catch {
      return refuse(undecodable('invalid GZIP data'));
    }
    if (inflated === 'too-large') return refuse(oversize(`the decompressed request exceeds ${limitBytes} bytes`));
    if (!isUtf8(inflated)) return refuse(undecodable('invalid gzip data'));
    payload = inflated;
  } else if (payload.length > limitBytes) {
    return refuse(oversize(`the request exceeds ${limitBytes} bytes`));
  }
  payload = unwrapBase64(payload);
  if (!isUtf8(payload)) return refuse(undecodable('invalid UTF8 in request payload'));
  return done(textOf(payload));
}

/**
 * An {@link Inflate} of which at most `concurrentCount` run, so that a crowd of small bodies cannot become gigabytes at
 * once; the others wait their turn.
 */
export function createInflate(concurrentCount: number): Inflate {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (bytes, limitBytes) => {
    const small = bytes.length <= SMALL_BYTES ? inflateSmall(bytes, limitBytes) : undefined;
    if (small !== undefined) return small;
    if (running >= concurrentCount) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await new Promise((resolve, reject) => {
        gunzip(bytes, { maxOutputLength: limitBytes }, (error, result) => {
          if (error === null) resolve(result);
          else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') resolve('too-large');
          else reject(error);
        });
      });
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

/** A trip to the thread pool costs more than inflating an ordinary request. */
const SMALL_BYTES = 16 * 1024;
/** Inflating this much holds the loop for 3 ms at the most; a body that wants more takes its turn in the pool. */
const SMALL_RESULT_BYTES = 1024 * 1024;

/** Undefined when the result is not small. @throws what zlib throws for bytes that are no gzip. */
function inflateSmall(bytes: Buffer, limitBytes: number): Buffer | undefined {
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.min(limitBytes, SMALL_RESULT_BYTES) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw error;
  }
}

function compressionOf(name: string | null | undefined): Compression | undefined {
  return name === null || name === undefined ? undefined : COMPRESSIONS[name.toLowerCase()];
}

/** ASCII bytes read as latin1 cost half of a UTF-8 decode and give the same string. */
function textOf(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
}

function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 0x08;
}

const FORM = /(?:^|&)(?:data|_|ip|compression)=/;
function looksLikeForm(bytes: Buffer): boolean {
  return FORM.test(bytes.toString('latin1', 0, SNIFF_BYTES));
}

const BASE64 = /^[A-Za-z0-9+/=]+$/;
function unwrapBase64(bytes: Buffer): Buffer {
  if (bytes.length % 4 !== 0 || !BASE64.test(bytes.toString('latin1', 0, SNIFF_BYTES))) return bytes;
  const decoded = Buffer.from(bytes.toString('latin1'), 'base64');
  // Node skips what is no base64; a shorter result than the letters hold means that it was none.
  const padding = bytes.at(-2) === 0x3d ? 2 : bytes.at(-1) === 0x3d ? 1 : 0;
  if (decoded.length !== (bytes.length / 4) * 3 - padding) return bytes;
  // `null` and `1234` are base64 too, of bytes that no client sends.
  return isGzip(decoded) || isUtf8(decoded) ? decoded : bytes;
}

const BASE64_WITH_SPACES = /^[A-Za-z0-9+/= ]+$/;
/** Form decoding made spaces of the plus signs of unescaped base64. */
function repairBase64(value: string): string {
  return value.includes(' ') && BASE64_WITH_SPACES.test(value.slice(0, SNIFF_BYTES)) ? value.replaceAll(' ', '+') : value;
}
