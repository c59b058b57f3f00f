import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { messageOf } from '../domain/strings.ts';

/** What a TLS server shows of itself: PEM texts of its certificate, with the chain behind it, and of the key, without a passphrase. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

/** An identity that TLS takes. */
export interface CheckedIdentity extends TlsIdentity {
  readonly subject: string;
  readonly expiresAtMs: number;
}

/** The options of node:tls for it. Older versions than 1.2 are broken. */
export function secured({ cert, key }: TlsIdentity): { readonly cert: string; readonly key: string; readonly minVersion: 'TLSv1.2' } {
  return { cert, key, minVersion: 'TLSv1.2' };
}

/** Looks at an identity as TLS will. @throws Error that says, for an operator, what is wrong with it. */
export function checkIdentity(identity: TlsIdentity): CheckedIdentity {
  const certificate = read('the certificate', () => new X509Certificate(identity.cert));
  const key = read('the key', () => createPrivateKey(identity.key));
  if (!certificate.checkPrivateKey(key)) throw new Error('the key is not that of the certificate');
  // The chain behind the first certificate, and what OpenSSL's security level asks of keys and digests.
  read('the pair', () => createSecureContext(secured(identity)));
  return { ...identity, subject: certificate.subject, expiresAtMs: certificate.validToDate.getTime() };
}

function read<T>(what: string, reading: () => T): T {
  try {
    return reading();
  } catch (error) {
    throw new Error(`${what} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
