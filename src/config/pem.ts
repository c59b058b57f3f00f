import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

const BEGIN = '-----BEGIN ';

/** Whether a value is PEM text itself, and not the path of a file. */
export const isPemText = (value: string): boolean => value.includes(BEGIN);

/** PEM text given as it is or in base64, which PostHog's variables are in. What is neither comes back decoded, and is no PEM. */
export function pemOfBase64(value: string): string {
  return isPemText(value) ? withLineEnds(value) : Buffer.from(value, 'base64').toString('utf8');
}

/** PEM text given as it is, or as the path of a file. @throws the error of the file system. */
export function pemOfTextOrFile(value: string, readFile: (path: string) => string = (path) => readFileSync(path, 'utf8')): string {
  return isPemText(value) ? withLineEnds(value) : readFile(value);
}

/** The same for a setting that may be unset. */
export function pemOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : pemOfTextOrFile(value);
}

/** What a PEM text holds first; undefined when nothing in it can be read. A key with a passphrase cannot be read. */
export function kindOfPem(pem: string): 'certificate' | 'key' | undefined {
  if (readCertificate(pem) !== undefined) return 'certificate';
  return readKey(pem) === undefined ? undefined : 'key';
}

/** Whether the key is the one that the (first) certificate was made for. False when one of them cannot be read. */
export function belongTogether(certificatePem: string, keyPem: string): boolean {
  const key = readKey(keyPem);
  return key !== undefined && (readCertificate(certificatePem)?.checkPrivateKey(key) ?? false);
}

function readCertificate(pem: string): X509Certificate | undefined {
  return orUndefined(() => new X509Certificate(pem));
}

function readKey(pem: string): ReturnType<typeof createPrivateKey> | undefined {
  return orUndefined(() => createPrivateKey(pem));
}

/** node:crypto tells by throwing that a text is not what it was taken for: here that is an answer. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** In a variable of one line the line ends of PEM are often written `\n`. */
function withLineEnds(pem: string): string {
  return pem.replaceAll('\\n', '\n');
}
