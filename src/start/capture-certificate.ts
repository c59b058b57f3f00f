import { readFile } from 'node:fs/promises';
import { messageOf } from '../domain/strings.ts';
import { isPemText, pemOfTextOrFile } from '../config/pem.ts';
import type { Config } from '../config/schema.ts';
import { openCertificate, type Certificate } from '../http/certificate.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

const POLL_MS = 2_000;

/**
 * The certificate of the capture server; undefined without TLS.
 * @throws Error that names the settings when it cannot be used.
 */
export async function openCaptureCertificate(parts: {
  readonly config: Pick<Config, 'guards'>;
  readonly clock: Clock;
  readonly closers: Closers;
  /** @defaultValue 2,000 */
  readonly pollMs?: number;
}): Promise<Certificate | undefined> {
  const { config, clock, closers, pollMs = POLL_MS } = parts;
  const { tlsCert, tlsKey } = config.guards;
  if (tlsCert === undefined || tlsKey === undefined) return undefined;
  const read = async (): Promise<{ readonly cert: string; readonly key: string }> => {
    const [cert, key] = await Promise.all([pemFrom(tlsCert), pemFrom(tlsKey)]);
    return { cert, key };
  };
  try {
    const certificate = await openCertificate({ server: 'capture', read, clock, pollMs });
    closers.push('the certificate of the capture server', () => certificate.close());
    return certificate;
  } catch (error) {
    throw new Error(`TROUPE_CAPTURE_TLS_CERT and _KEY cannot be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const pemFrom = async (value: string): Promise<string> => (isPemText(value) ? pemOfTextOrFile(value) : readFile(value, 'utf8'));
