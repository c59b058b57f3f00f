import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';

/** A connection string without its TLS parameters, and what they mean: false for a plain connection. */
export interface PostgresAccess {
  readonly connectionString: string;
  readonly ssl: false | ConnectionOptions;
}

export interface PostgresAccessOptions {
  /** PEM text of the certificate authority. Given, the connection is encrypted whatever the connection string says. */
  readonly ca?: string | undefined;
  /** False accepts any certificate: encrypted, but to whom is not known. @defaultValue true */
  readonly isVerified?: boolean;
  readonly readFile?: (path: string) => string;
}

const TLS_PARAMETERS = ['ssl', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'uselibpqcompat'];

/**
 * TLS as `sslmode` of a connection string asks for it. Read here and not by pg, whose own reading goes before any option, warns on
 * stderr, and changes with its next version.
 *
 * | sslmode | connection |
 * |---|---|
 * | absent, `disable` | plain, unless a certificate authority is named |
 * | `allow`, `prefer`, `require`, `verify-full` | encrypted; the certificate has a known authority and the host's name, as in pg 8 |
 * | `verify-ca` | encrypted; a known authority, any name |
 * | `no-verify` | encrypted; any certificate |
 *
 * `sslrootcert`, `sslcert` and `sslkey` name files. A unix socket is never encrypted, whatever is said, as in libpq. @throws Error for another `sslmode`, or a file that cannot be read.
 */
export function postgresAccess(
  given: string,
  { ca, isVerified = true, readFile = (path) => readFileSync(path, 'utf8') }: PostgresAccessOptions = {},
): PostgresAccess {
  const cut = given.indexOf('?');
  if (cut < 0) return { connectionString: given, ssl: ca === undefined ? false : { ca, rejectUnauthorized: isVerified } };
  const parameters = new URLSearchParams(given.slice(cut + 1));
  const rest = new URLSearchParams([...parameters].filter(([name]) => !TLS_PARAMETERS.includes(name))).toString();
  const connectionString = `${given.slice(0, cut)}${rest === '' ? '' : `?${rest}`}`;

  if (parameters.get('host')?.startsWith('/') === true) return { connectionString, ssl: false };
  const mode = parameters.get('sslmode') ?? modeOfFlag(parameters.get('ssl'));
  if (mode !== undefined && !MODES.includes(mode)) throw new Error(`sslmode=${mode} is none of ${MODES.join(', ')}`);
  const file = (name: string): string | undefined => {
    const path = parameters.get(name);
    return path === null ? undefined : readFile(path);
  };
  const authority = ca ?? file('sslrootcert');
  if (authority === undefined && (mode === undefined || mode === 'disable')) return { connectionString, ssl: false };
  if (ca === undefined && mode === 'disable') return { connectionString, ssl: false };
  const [cert, key] = [file('sslcert'), file('sslkey')];
  return {
    connectionString,
    ssl: {
      rejectUnauthorized: isVerified && mode !== 'no-verify',
      ...(authority === undefined ? {} : { ca: authority }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(mode === 'verify-ca' ? { checkServerIdentity: () => undefined } : {}),
    },
  };
}

const MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** `ssl=true`, pg's short form. */
function modeOfFlag(flag: string | null): string | undefined {
  if (flag === null) return undefined;
  return flag === 'no-verify' ? flag : ['1', 'true'].includes(flag) ? 'require' : 'disable';
}
