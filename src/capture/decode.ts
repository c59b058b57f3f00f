import { isAscii, isUtf8 } from 'node:buffer';
import { state } from '../observe/facts.ts';
import { done, EMPTY_PAYLOAD, oversize, refuse, undecodable, type Attempt } from './answers.ts';
import type { Compression, Inflate } from './inflate.ts';
import { decompressLz64 } from './lz64.ts';

/** What a request says about its payload besides the body. */
export interface PayloadHints {
  readonly query: URLSearchParams | undefined;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
}

/** How much of a payload is looked at to tell what it is. */
const SNIFF_BYTES = 128;
/** lz64 is unpacked on the loop, and comes from browsers of a time when 2 MiB was the largest body that was taken. */
const LZ64_BYTES = 2 << 20;

/** Of the answer that a payload larger than its limit gets. */
const TOO_LARGE = 413;

type Encoding = Compression | 'lz64' | 'base64';
/** By name, in a Map: what every object inherits (`constructor`, `__proto__`) is the name of no encoding. */
const ENCODINGS: ReadonlyMap<string, Encoding> = new Map([
  ['gzip', 'gzip'],
  ['gzip-js', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
  ['br', 'br'],
  ['zstd', 'zstd'],
  ['lz64', 'lz64'],
  ['lz-string', 'lz64'],
  ['base64', 'base64'],
  ['b64', 'base64'],
]);

/**
 * From bytes on the wire to JSON text (spec/capture.md 2, steps 3-8), whichever way the client wrapped it: in the query,
 * a form, base64, a compression, or several of them. What the bytes look like decides; hints come second, since SDKs and
 * proxies give wrong ones. Wider than upstream in four places, each of them data that upstream loses:
 * - base64 is unwrapped on every path (newer posthog-js sends it to `/i/v0/e/`);
 * - a form is a form with any `charset` behind its content type;
 * - a `Content-Encoding` of bytes that are not compressed any more (a proxy unpacked them) is ignored. The same claim in
 *   the query or the form stays an error;
 * - deflate, brotli and zstd are unpacked as well.
 */
export async function decodePayload(body: Buffer, hints: PayloadHints, inflate: Inflate, limitBytes: number): Promise<Attempt<string>> {
  const wrapped = unwrapForm(body, hints);
  if (!wrapped.ok) return wrapped;
  const { claimed } = wrapped.value;
  let payload = wrapped.value.payload;
  const announced = encodingOf(hints.contentEncoding);

  const encoding = sniff(payload) ?? claimed ?? announced;
  const told = (how: Compression | 'lz64' | 'none', decodedBytes: number | undefined): void =>
    state('capture-payload-decoded', { encoding: how, wireBytes: body.length, decodedBytes, limitBytes });
  if (encoding === 'lz64') {
    const unpacked = unpackLz64(payload, limitBytes);
    if (unpacked.ok || unpacked.answer.status === TOO_LARGE) told(encoding, unpacked.ok ? Buffer.byteLength(unpacked.value) : undefined);
    return unpacked;
  }
  if (encoding === undefined || encoding === 'base64') {
    told('none', payload.length > limitBytes ? undefined : payload.length);
    if (payload.length > limitBytes) return refuse(oversize(`the request exceeds ${limitBytes} bytes`));
  } else {
    const unpacked = await unpack(encoding, payload, inflate, limitBytes);
    if (unpacked.ok) payload = unpacked.value;
    else if (claimed !== undefined || unpacked.answer.status === TOO_LARGE || !looksLikeJson(payload)) {
      if (unpacked.answer.status === TOO_LARGE) told(encoding, undefined);
      return unpacked;
    }
    told(unpacked.ok ? encoding : 'none', payload.length);
  }
  payload = unwrapBase64(payload);
  if (!isUtf8(payload)) return refuse(undecodable('invalid UTF8 in request payload'));
  return done(textOf(payload));
}

/** Out of the query, the base64 and the form (steps 3-6). `claimed` is what the client itself said, not its proxy. */
function unwrapForm(
  body: Buffer,
  { query, contentType, contentEncoding }: PayloadHints,
): Attempt<{ payload: Buffer; claimed: Encoding | undefined }> {
  const inQuery = query?.get('data');
  let payload = inQuery ? Buffer.from(repairBase64(inQuery)) : body;
  if (payload.length === 0) return refuse(EMPTY_PAYLOAD);
  let claimed = encodingOf(query?.get('compression'));
  // The letters of lz64 look like base64 and are not.
  const isLz64 = (): boolean => (claimed ?? encodingOf(contentEncoding)) === 'lz64';
  if (!isLz64() && !looksLikeForm(payload)) payload = unwrapBase64(payload);
  if (inQuery || contentType?.toLowerCase().startsWith('application/x-www-form-urlencoded') !== true) return done({ payload, claimed });
  if (!looksLikeForm(payload)) {
    // A form that was base64 as a whole, or gzip under the browser's default content type: both are told by their bytes.
    if (sniff(payload) === undefined && payload === body) return refuse(undecodable('expected form data in POST request payload'));
    return done({ payload, claimed });
  }
  const form = new URLSearchParams(payload.toString());
  claimed ??= encodingOf(form.get('compression'));
  payload = Buffer.from(repairBase64(form.get('data') ?? ''));
  if (payload.length === 0) return refuse(EMPTY_PAYLOAD);
  return done({ payload: isLz64() ? payload : unwrapBase64(payload), claimed });
}

async function unpack(encoding: Compression, payload: Buffer, inflate: Inflate, limitBytes: number): Promise<Attempt<Buffer>> {
  const invalid = refuse(undecodable(`invalid ${encoding.toUpperCase()} data`));
  // Told by their first bytes: another beginning is another thing, and zlib need not be asked.
  if ((encoding === 'gzip' || encoding === 'zstd') && sniff(payload) !== encoding) return invalid;
  let unpacked: Buffer | 'too-large';
  try {
    unpacked = await inflate(encoding, payload, limitBytes);
  } catch {
    return invalid; // zlib has no other complaint than that these are not its bytes
  }
  if (unpacked === 'too-large') return refuse(oversize(`the decompressed request exceeds ${limitBytes} bytes`));
  return isUtf8(unpacked) ? done(unpacked) : refuse(undecodable(`invalid ${encoding} data`));
}

function unpackLz64(payload: Buffer, limitBytes: number): Attempt<string> {
  if (payload.length > LZ64_BYTES) return refuse(oversize(`an lz64 request exceeds ${LZ64_BYTES} bytes`));
  const unpacked = decompressLz64(payload.toString('latin1'), limitBytes);
  if (unpacked === 'too-large') return refuse(oversize(`the decompressed request exceeds ${limitBytes} bytes`));
  if (unpacked === 'invalid' || !unpacked.text.isWellFormed()) return refuse(undecodable('decompress_lz64: failed decompress to UTF16'));
  return done(unpacked.text);
}

function encodingOf(name: string | null | undefined): Encoding | undefined {
  return name === null || name === undefined ? undefined : ENCODINGS.get(name.trim().toLowerCase());
}

/** ASCII bytes read as latin1 cost half of a UTF-8 decode and give the same string. */
function textOf(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8');
}

/** The compressions that begin with bytes no text begins with. */
function sniff(bytes: Buffer): 'gzip' | 'zstd' | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b && bytes[2] === 0x08) return 'gzip';
  return bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528 ? 'zstd' : undefined;
}

function looksLikeJson(bytes: Buffer): boolean {
  return /^\s*[[{]/.test(bytes.toString('latin1', 0, SNIFF_BYTES)) && isUtf8(bytes);
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
  return sniff(decoded) !== undefined || isUtf8(decoded) ? decoded : bytes;
}

const BASE64_WITH_SPACES = /^[A-Za-z0-9+/= ]+$/;
/** Form decoding made spaces of the plus signs of unescaped base64. */
function repairBase64(value: string): string {
  return value.includes(' ') && BASE64_WITH_SPACES.test(value.slice(0, SNIFF_BYTES)) ? value.replaceAll(' ', '+') : value;
}
