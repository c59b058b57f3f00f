import { messageOf } from '../domain/strings.ts';
import { belongTogether, kindOfPem, pemOfTextOrFile } from './pem.ts';
import type { Problem } from './problem.ts';
import type { Config } from './schema.ts';

/** What is wrong with the certificate of the capture server or its key, before anything is started. */
export function captureTlsProblems({ capture, guards }: Config, readFile: (path: string) => string): Problem[] {
  const { tlsCert, tlsKey } = guards;
  if (capture.enabled !== true || tlsCert === undefined || tlsKey === undefined) return [];
  const cert = readPem('TROUPE_CAPTURE_TLS_CERT', tlsCert, readFile);
  const key = readPem('TROUPE_CAPTURE_TLS_KEY', tlsKey, readFile);
  if (typeof cert !== 'string') return [cert];
  if (typeof key !== 'string') return [key];
  if (belongTogether(cert, key)) return [];
  const isReadable = kindOfPem(cert) === 'certificate' && kindOfPem(key) === 'key';
  return [
    {
      name: 'TROUPE_CAPTURE_TLS_CERT + TROUPE_CAPTURE_TLS_KEY',
      value: undefined,
      allowed: 'a certificate and its key without a passphrase: PEM text, or paths of such files',
      todo: isReadable
        ? 'give the key that belongs to the certificate: this is another one'
        : 'look at what is there: one of them cannot be read',
    },
  ];
}

function readPem(name: string, value: string, readFile: (path: string) => string): string | Problem {
  try {
    return pemOfTextOrFile(value, readFile);
  } catch (error) {
    return {
      name,
      value: undefined,
      allowed: 'PEM text, or the path of such a file',
      todo: messageOf(error),
    };
  }
}
