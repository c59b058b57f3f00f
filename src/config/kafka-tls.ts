import type { Config } from './schema.ts';

/** What node:tls needs of the settings; `true` for a secured connection with the certificate authorities of the system. */
export type KafkaTls = boolean | { readonly ca?: string; readonly cert?: string; readonly key?: string };

/**
 * TLS of the connection to Kafka. PostHog gives its librdkafka consumers the certificate as key and the key as certificate, and verifies nothing
 * (spec/ingestion.md, sharp edge 30): here each is what its name says, and the brokers' certificates are verified.
 */
export function kafkaTls({ securityProtocol, trustedCertB64, clientCertB64, clientCertKeyB64 }: Config['kafka']): KafkaTls {
  if (securityProtocol !== 'ssl' && securityProtocol !== 'sasl_ssl') return false;
  const pem = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
  const options = {
    ...(trustedCertB64 === undefined ? {} : { ca: pem(trustedCertB64) }),
    ...(clientCertB64 === undefined ? {} : { cert: pem(clientCertB64) }),
    ...(clientCertKeyB64 === undefined ? {} : { key: pem(clientCertKeyB64) }),
  };
  return Object.keys(options).length === 0 ? true : options;
}
