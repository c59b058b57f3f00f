import { expect, it } from 'vitest';
import { kafkaTls } from '../../../src/config/kafka-tls.ts';
import { loadConfig } from '../../../src/config/load.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const tlsOf = (env: Record<string, string>) => kafkaTls(loadConfig(env).config.kafka);

it('a plain connection has no TLS, a secured one verifies with the authorities of the system', () => {
  expect(tlsOf({})).toBe(false);
  expect(tlsOf({ KAFKA_SECURITY_PROTOCOL: 'SSL' })).toBe(true);
});

it('certificate and key are what their names say (PostHog swaps them: spec/ingestion.md, sharp edge 30)', () => {
  const env = {
    KAFKA_SECURITY_PROTOCOL: 'ssl',
    KAFKA_TRUSTED_CERT_B64: base64('authority'),
    KAFKA_CLIENT_CERT_B64: base64('certificate'),
    KAFKA_CLIENT_CERT_KEY_B64: base64('key'),
  };
  expect(tlsOf(env)).toEqual({ ca: 'authority', cert: 'certificate', key: 'key' });
});
