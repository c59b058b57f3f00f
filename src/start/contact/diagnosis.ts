/** Which settings an operator has to look at. */
export type Remedy = 'address' | 'encryption' | 'authority' | 'clientCertificate' | 'login';

export interface Diagnosis {
  /**
   * 'unreachable': nobody answers, which may pass. 'cut': somebody hung up without a word, or with one that is none.
   * 'unknown': the error speaks for itself. The rest: what it says.
   */
  readonly kind: 'unreachable' | 'cut' | 'encryption' | 'certificate' | 'client-certificate' | 'login' | 'unknown';
  /** The finding as a clause without its end, when it says more than the error itself. */
  readonly headline?: string;
  readonly remedy?: Remedy;
}

interface Sign extends Diagnosis {
  /** Looked for in the codes and messages of an error and of all that caused it. */
  readonly pattern: RegExp;
}

/**
 * Signs, the surest first. The codes are those of OpenSSL as Node names them, of errno, of PostgreSQL (five letters) and ClickHouse;
 * the words are those of kafkajs, ioredis, pg and of brokers.
 */
const SIGNS: readonly Sign[] = [
  {
    pattern:
      /\b(UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|CERT_(UNTRUSTED|SIGNATURE_FAILURE|REJECTED))\b/,
    kind: 'certificate',
    headline: 'its certificate comes from an authority that is not trusted here',
    remedy: 'authority',
  },
  {
    pattern: /\b(CERT_HAS_EXPIRED|CERT_NOT_YET_VALID)\b/,
    kind: 'certificate',
    headline: 'its certificate is not valid at this time',
    remedy: 'authority',
  },
  {
    pattern: /\b(ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)\b/,
    kind: 'certificate',
    headline: 'its certificate is for another name than the one it was called by',
    remedy: 'address',
  },
  {
    pattern:
      /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNKNOWN_CA|HANDSHAKE_FAILURE|CERTIFICATE_EXPIRED)|alert (certificate required|bad certificate|unknown ca|handshake failure)|requires a valid client certificate/,
    kind: 'client-certificate',
    headline: 'it wants a client certificate that it knows',
    remedy: 'clientCertificate',
  },
  // Before the login: PostgreSQL says both in one sentence.
  {
    pattern: /no pg_hba\.conf entry .*(no encryption|SSL off)/,
    kind: 'encryption',
    headline: 'it lets nobody in from here without encryption',
    remedy: 'encryption',
  },
  { pattern: /does not support SSL connections/, kind: 'encryption', headline: 'it does not speak TLS', remedy: 'encryption' },
  {
    pattern:
      /KafkaJSSASLAuthenticationError|SASL[ \w-]+authentication failed|mechanism is not supported|UNSUPPORTED_SASL_MECHANISM|ILLEGAL_SASL_STATE|\b(28P01|28000|516)\b|WRONGPASS|NOAUTH|invalid username-password pair/,
    kind: 'login',
    headline: 'it does not let us in',
    remedy: 'login',
  },
  {
    pattern:
      /\b(ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)\b|before secure TLS connection|HPE_INVALID|Protocol error, got/,
    kind: 'cut',
  },
  { pattern: /\b(ECONNRESET|EPIPE)\b|socket hang up|Closed connection|Connection is closed|terminated unexpectedly/, kind: 'cut' },
  {
    pattern:
      /\b(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|ETIMEDOUT|ENOENT|57P03|53300)\b|[Cc]onnection timeout|timeout exceeded when trying to connect|connect ETIMEDOUT|Request \w+\(.*\) timed out/,
    kind: 'unreachable',
  },
];

/** What an error of a first contact means. Total: what nobody foresaw is 'unknown', and its own words are shown. */
export function diagnose(error: unknown): Diagnosis {
  const words = wordsOf(error).join(' ');
  const sign = SIGNS.find(({ pattern }) => pattern.test(words));
  if (sign === undefined) return { kind: 'unknown' };
  const { kind, headline, remedy } = sign;
  return { kind, ...(headline === undefined ? {} : { headline }), ...(remedy === undefined ? {} : { remedy }) };
}

/** Names, codes and messages of an error, of its causes and of the errors it gathers. */
function wordsOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 8) return [];
  const { code, type, cause, originalError } = error as Error & {
    code?: unknown;
    type?: unknown;
    cause?: unknown;
    originalError?: unknown;
  };
  const gathered: unknown[] = error instanceof AggregateError ? error.errors : [];
  return [
    error.name,
    ...[code, type].filter((word) => typeof word === 'string' || typeof word === 'number').map(String),
    error.message,
    ...[cause, originalError, ...gathered].flatMap((one) => wordsOf(one, depth + 1)),
  ];
}
