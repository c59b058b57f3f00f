import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A certificate with its key, as PEM texts and as files. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A certificate authority of one test, in a folder that goes with it. */
export interface Authority extends Identity {
  /** A certificate for a server that is called by `names` (`DNS:localhost`, `IP:127.0.0.1`). */
  server(name: string, names: readonly string[]): Promise<Identity>;
  /** A certificate for a client, whose common name is its user. */
  client(name: string): Promise<Identity>;
  remove(): void;
}

/** Rejects with the reason when there is no openssl: nothing in Node makes certificates. */
export async function probeOpenssl(): Promise<void> {
  await run('openssl', ['version']).catch((error: unknown) => {
    throw new Error('openssl is not installed (Debian: apt-get install openssl)', { cause: error });
  });
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

/** Makes an authority; 30 ms, as each of its certificates. */
export async function makeAuthority(name: string): Promise<Authority> {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-test-certificates-'));
  const identityOf = (file: string): Identity => {
    const [certFile, keyFile] = [join(dir, `${file}.pem`), join(dir, `${file}.key`)];
    return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  };
  const paths = (file: string): string[] => ['-keyout', join(dir, `${file}.key`), '-out', join(dir, `${file}.pem`)];

  await run('openssl', ['req', '-x509', ...NEW_KEY, '-subj', `/CN=${name}`, ...paths('authority')]);
  const own = identityOf('authority');

  async function issue(file: string, commonName: string, extensions: string): Promise<Identity> {
    const request = join(dir, `${file}.csr`);
    const extensionFile = join(dir, `${file}.ext`);
    writeFileSync(extensionFile, extensions);
    await run('openssl', [
      'req',
      ...NEW_KEY.slice(0, -2),
      '-subj',
      `/CN=${commonName}`,
      '-keyout',
      join(dir, `${file}.key`),
      '-out',
      request,
    ]);
    const signing = ['-CA', own.certFile, '-CAkey', own.keyFile, '-CAcreateserial', '-days', '2', '-extfile', extensionFile];
    await run('openssl', ['x509', '-req', '-in', request, ...signing, '-out', join(dir, `${file}.pem`)]);
    return identityOf(file);
  }
  return {
    ...own,
    server: (file, names) => issue(file, 'server', `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth\n`),
    client: (user) => issue(user, user, 'extendedKeyUsage=clientAuth\n'),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
