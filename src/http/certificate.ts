import { messageOf } from '../domain/strings.ts';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { checkIdentity, type CheckedIdentity, type TlsIdentity } from './tls-identity.ts';

export interface CertificateOptions {
  /** Whose it is, for facts: 'capture'. */
  readonly server: string;
  /** Reads certificate and key anew. A rejection is a reason to keep what there is. */
  readonly read: () => Promise<TlsIdentity>;
  readonly clock: Clock;
  /** Time between two looks. Raising it: a renewed certificate is shown later. Lowering it: two small files are read more often. */
  readonly pollMs: number;
}

/**
 * The certificate of a TLS server, in files that somebody else renews: certbot, cert-manager, the kubelet that swaps a symbolic link.
 *
 *     taken ──changed, and at rest──▶ judged ──good──▶ taken (the new one)
 *       ▲                               ╰──bad──▶ refused ─╮
 *       ╰──────────────────────────────────────────────────╯
 *
 * I1  What is presented is a pair that belongs together and has not expired; what is bad leaves the old one in its place.
 * I2  A change is judged when two looks in a row saw the same: certificate and key are two files, written one after the other.
 * I3  What was judged is not judged again until it changes: one refusal, one line in the log.
 * I4  One look at a time; none after `close`. Nothing that the files do ends the watching.
 *
 * The files are read again and again, instead of listening to their folder: what makes them change differs (a rename, a link that is
 * swapped, a write in place), a network file system tells nobody of it, and reading finds all of it.
 */
export interface Certificate {
  /** The one to present: from the first look, later from the last good one. */
  current(): TlsIdentity;
  /** From now on `present` gets each new one. */
  watch(present: (identity: TlsIdentity) => void): void;
  close(): void;
}

/** @throws Error when what is there at the start cannot be used. One that has expired can: its clients say so, and so does the log. */
export async function openCertificate({ server, read, clock, pollMs }: CertificateOptions): Promise<Certificate> {
  let current = checkIdentity(await read());
  take(current);
  /** What the last look saw, and what was judged last (I2, I3): as text. */
  let seen = fingerprintOf(current);
  let judged = seen;
  let isClosed = false;
  let timer = { cancel: (): void => undefined };

  function take(identity: CheckedIdentity): void {
    current = identity;
    const { subject, expiresAtMs } = identity;
    state('http-certificate-taken', { server, subject, expiresAtMs, remainingMs: expiresAtMs - clock.now() });
  }

  async function look(present: (identity: TlsIdentity) => void): Promise<void> {
    const found = await read().catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
    const before = seen;
    seen = fingerprintOf(found);
    if (seen === judged || seen !== before) return; // I2, I3
    judged = seen;
    try {
      if (found instanceof Error) throw found;
      const identity = checkIdentity(found);
      if (identity.expiresAtMs <= clock.now()) throw new Error(`it expired at ${new Date(identity.expiresAtMs).toISOString()}`);
      present(identity);
      take(identity); // I1
    } catch (error) {
      state('http-certificate-refused', { server, message: messageOf(error) });
    }
  }

  return {
    current: () => current,
    watch(present) {
      const next = (): void => {
        if (isClosed) return; // I4
        timer = clock.after(pollMs, () => void look(present).then(next));
      };
      next();
    },
    close() {
      isClosed = true;
      timer.cancel();
    },
  };
}

const fingerprintOf = (found: TlsIdentity | Error): string =>
  found instanceof Error ? `error: ${found.message}` : `${found.cert}\n${found.key}`;
