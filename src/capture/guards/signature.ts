import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { state, type Facts } from '../../observe/facts.ts';
import { invalidSignature, type Answer } from '../answers.ts';
import type { Exchange } from '../exchange.ts';

export interface SigningSettings {
  /** `required`: a request without a signature is refused. `optional`: it passes, and a wrong one is refused. */
  readonly mode: 'optional' | 'required';
  /** Any of them will do, so that an old and a new one overlap. */
  readonly keys: readonly SigningKey[];
  /** How far from ours the clock of a signature may be. */
  readonly windowMs: number;
}

export interface SigningKey {
  /** Its name, for metrics: which keys are still in use. */
  readonly id: string;
  readonly secret: string;
}

/** Looks at the body as it was sent, before anything of it is unpacked. An answer ends the request. */
export type BodyCheck = (exchange: Exchange, body: Buffer) => Answer | undefined;

type SignatureOutcome = Facts['capture-signature-checked']['outcome'];

/** So many signatures may one header have: a sender that rotates has two. */
const MAX_SIGNATURES = 4;
const SECONDS = /^\d{1,12}$/;
const HEX_OF_SHA256 = /^[0-9a-f]{64}$/i;

/**
 * The header `X-Troupe-Signature: t=<unix seconds>,v1=<hex>`, where v1 is the HMAC-SHA256, under a shared key, of the text of `t`, a dot and
 * the raw body (spec/capture.md 16.1, row 31). For servers that send: a browser cannot keep a key, and SDKs do not sign.
 *
 * S1 What is signed is the body as sent, compressed or not; a payload in the query is covered by no signature, and refused.
 * S2 Time and form are looked at first: who has no key makes us hash only what is fresh and well-formed.
 * S3 Digests are compared in constant time.
 *
 * The same request sent again within the window passes again: that is how an SDK tries again. Copies of an event are the business of
 * dedupe and of ClickHouse, by uuid.
 */
export function createSignatureCheck({ mode, keys, windowMs }: SigningSettings): BodyCheck {
  const secrets = keys.map(({ id, secret }) => ({ id, key: createSecretKey(secret, 'utf8') }));

  function judge({ request, query, receivedMs }: Exchange, body: Buffer): { readonly outcome: SignatureOutcome; readonly keyId?: string } {
    const header = request.headers['x-troupe-signature'];
    if (header === undefined) return { outcome: 'absent' };
    const signature = typeof header === 'string' ? parse(header) : undefined;
    if (signature === undefined) return { outcome: 'malformed' };
    if (query?.has('data') === true) return { outcome: 'uncovered' }; // S1
    if (Math.abs(receivedMs - Number(signature.seconds) * 1_000) > windowMs) return { outcome: 'stale' }; // S2
    for (const { id, key } of secrets) {
      const expected = digestOf(key, signature.seconds, body);
      if (signature.digests.some((digest) => timingSafeEqual(digest, expected))) return { outcome: 'valid', keyId: id };
    }
    return { outcome: 'wrong' };
  }

  return (exchange, body) => {
    const { outcome, keyId } = judge(exchange, body);
    state('capture-signature-checked', { outcome, keyId });
    if (outcome === 'valid' || (outcome === 'absent' && mode === 'optional')) return undefined;
    return invalidSignature(outcome);
  };
}

function digestOf(key: KeyObject, seconds: string, body: Buffer): Buffer {
  return createHmac('sha256', key).update(`${seconds}.`).update(body).digest();
}

/** Parts with other names are of versions to come. */
function parse(header: string): { readonly seconds: string; readonly digests: readonly Buffer[] } | undefined {
  let seconds: string | undefined;
  const digests: Buffer[] = [];
  for (const part of header.split(',')) {
    const cut = part.indexOf('=');
    const name = part.slice(0, cut).trim();
    const value = part.slice(cut + 1).trim();
    if (name === 't') {
      if (seconds !== undefined || !SECONDS.test(value)) return undefined;
      seconds = value;
    } else if (name === 'v1') {
      if (digests.length === MAX_SIGNATURES || !HEX_OF_SHA256.test(value)) return undefined;
      digests.push(Buffer.from(value, 'hex'));
    }
  }
  return seconds === undefined || digests.length === 0 ? undefined : { seconds, digests };
}
