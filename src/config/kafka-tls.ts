import { belongTogether, kindOfPem, pemOfBase64 } from './pem.ts';
import type { Problem } from './problem.ts';
import type { Config } from './schema.ts';

/** What node:tls needs of the settings; `true` for a secured connection with the certificate authorities of the system. */
export type KafkaTls =
  boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly rejectUnauthorized?: false };

type Settings = Config['kafka'];

const isEncrypted = ({ securityProtocol }: Settings): boolean => securityProtocol === 'ssl' || securityProtocol === 'sasl_ssl';

/**
 * TLS of the connections to Kafka; false without.
 *
 * PostHog gives its librdkafka consumers KAFKA_CLIENT_CERT_B64 as the key and KAFKA_CLIENT_CERT_KEY_B64 as the certificate, its
 * other consumers the right way round, and verifies nothing (spec/ingestion.md, sharp edge 30). So a deployment that works there may
 * hold either order. A certificate and a key can be told apart by looking: each is used as what it is, and the brokers are verified
 * unless `isVerified` is false.
 */
export function kafkaTls(settings: Settings, isVerified: boolean): KafkaTls {
  if (!isEncrypted(settings)) return false;
  const { trustedCertB64 } = settings;
  const client = clientIdentity(settings);
  const options = {
    ...(trustedCertB64 === undefined ? {} : { ca: pemOfBase64(trustedCertB64) }),
    ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
    ...(isVerified ? {} : { rejectUnauthorized: false as const }),
  };
  return Object.keys(options).length === 0 ? true : options;
}

interface ClientIdentity {
  readonly cert: string;
  readonly key: string;
  /** Each variable held what the name of the other one says. */
  readonly isSwapped: boolean;
}

function clientIdentity({ clientCertB64, clientCertKeyB64 }: Settings): ClientIdentity | undefined {
  if (clientCertB64 === undefined || clientCertKeyB64 === undefined) return undefined;
  const [first, second] = [pemOfBase64(clientCertB64), pemOfBase64(clientCertKeyB64)];
  const isSwapped = kindOfPem(first) === 'key' && kindOfPem(second) === 'certificate';
  return isSwapped ? { cert: second, key: first, isSwapped } : { cert: first, key: second, isSwapped };
}

/** What is wrong with the certificates, where they are used at all. */
export function kafkaTlsProblem(settings: Settings): Problem | undefined {
  if (!isEncrypted(settings)) return undefined;
  const { trustedCertB64 } = settings;
  if (trustedCertB64 !== undefined && kindOfPem(pemOfBase64(trustedCertB64)) !== 'certificate') {
    return {
      name: 'KAFKA_TRUSTED_CERT_B64',
      value: undefined,
      allowed: 'a certificate: PEM in base64, or as it is',
      todo: 'encode the file of the certificate authority anew: base64 -w0 ca.pem',
    };
  }
  const client = clientIdentity(settings);
  if (client === undefined || belongTogether(client.cert, client.key)) return undefined;
  const isReadable = kindOfPem(client.cert) === 'certificate' && kindOfPem(client.key) === 'key';
  return {
    name: 'KAFKA_CLIENT_CERT_B64 + KAFKA_CLIENT_CERT_KEY_B64',
    value: undefined,
    allowed: 'a certificate and its key without a passphrase: PEM in base64, or as it is',
    todo: isReadable ? 'give the key that belongs to the certificate: this is another one' : 'encode the files anew: base64 -w0 client.pem',
  };
}

/** What an operator should know of the certificates though nothing is wrong. */
export function kafkaTlsNotices(settings: Settings): readonly string[] {
  const given = [
    ['KAFKA_TRUSTED_CERT_B64', settings.trustedCertB64],
    ['KAFKA_CLIENT_CERT_B64', settings.clientCertB64],
    ['KAFKA_CLIENT_CERT_KEY_B64', settings.clientCertKeyB64],
  ].flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (!isEncrypted(settings)) {
    if (given.length === 0) return [];
    return [
      `${given.join(', ')} without effect: KAFKA_SECURITY_PROTOCOL is ${settings.securityProtocol}, so connections to Kafka are not encrypted.`,
    ];
  }
  if (clientIdentity(settings)?.isSwapped !== true) return [];
  return [
    'KAFKA_CLIENT_CERT_B64 holds the key and KAFKA_CLIENT_CERT_KEY_B64 the certificate, the order that some consumers of PostHog need: each is used as what it is.',
  ];
}
