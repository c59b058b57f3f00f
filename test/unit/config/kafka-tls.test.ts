import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { kafkaTls } from '../../../src/config/kafka-tls.ts';
import { ConfigError, loadConfig } from '../../../src/config/load.ts';
import { isVerified } from '../../../src/config/rules.ts';
import { CERTIFICATE, KEY } from './certificate.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const ssl = { KAFKA_SECURITY_PROTOCOL: 'SSL' };
const load = (env: Record<string, string>) => loadConfig({ ...ssl, ...env });
const tlsOf = (env: Record<string, string>) => {
  const { config } = load(env);
  return kafkaTls(config.kafka, isVerified(config, 'kafka'));
};
const refusalOf = (env: Record<string, string>): string => {
  try {
    load(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'not refused';
};

it('a plain connection has no TLS, a secured one verifies with the authorities of the system', () => {
  expect(tlsOf({ KAFKA_SECURITY_PROTOCOL: 'plaintext' })).toBe(false);
  expect(tlsOf({})).toBe(true);
});

it('sharp edge 30: certificates are verified unless TROUPE_TLS_UNVERIFIED says otherwise, and then a notice says so', () => {
  expect(tlsOf({ TROUPE_TLS_UNVERIFIED: 'redis' })).toBe(true);
  expect(tlsOf({ TROUPE_TLS_UNVERIFIED: 'kafka' })).toEqual({ rejectUnauthorized: false });
  expect(load({ TROUPE_TLS_UNVERIFIED: 'kafka' }).notices.join()).toContain('certificates of kafka are not verified');
  expect(refusalOf({ TROUPE_TLS_UNVERIFIED: 'kafak' })).toContain('Invalid TROUPE_TLS_UNVERIFIED kafak');
});

describe('sharp edge 30: the client certificate and its key', () => {
  const right = { KAFKA_CLIENT_CERT_B64: base64(CERTIFICATE), KAFKA_CLIENT_CERT_KEY_B64: base64(KEY) };
  const swapped = { KAFKA_CLIENT_CERT_B64: base64(KEY), KAFKA_CLIENT_CERT_KEY_B64: base64(CERTIFICATE) };

  it('are what their names say', () => {
    expect(tlsOf({ ...right, KAFKA_TRUSTED_CERT_B64: base64(CERTIFICATE) })).toEqual({ ca: CERTIFICATE, cert: CERTIFICATE, key: KEY });
    expect(load(right).notices.join()).not.toContain('KAFKA_CLIENT');
  });

  it('are used as what they are when a deployment swapped them for librdkafka, and a notice says so', () => {
    expect(tlsOf(swapped)).toEqual({ cert: CERTIFICATE, key: KEY });
    expect(load(swapped).notices.join()).toContain('KAFKA_CLIENT_CERT_B64 holds the key');
  });

  it('may be PEM as it is, also with its line ends written out', () => {
    expect(tlsOf({ KAFKA_CLIENT_CERT_B64: CERTIFICATE, KAFKA_CLIENT_CERT_KEY_B64: KEY.replaceAll('\n', '\\n') })).toEqual({
      cert: CERTIFICATE.trim(),
      key: KEY,
    });
  });

  const stranger = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey;
  it.each([
    ['no certificate at all', { ...right, KAFKA_CLIENT_CERT_B64: base64('hello') }, 'encode the files anew'],
    ['two certificates', { ...right, KAFKA_CLIENT_CERT_KEY_B64: base64(CERTIFICATE) }, 'encode the files anew'],
    [
      'the key of another certificate',
      { ...right, KAFKA_CLIENT_CERT_KEY_B64: base64(stranger.export({ type: 'pkcs8', format: 'pem' }) as string) },
      'the key that belongs to the certificate',
    ],
    ['an authority that is none', { KAFKA_TRUSTED_CERT_B64: 'not/base64/of/pem' }, 'KAFKA_TRUSTED_CERT_B64'],
    ['the key as authority', { KAFKA_TRUSTED_CERT_B64: base64(KEY) }, 'KAFKA_TRUSTED_CERT_B64'],
  ])('stop the start when there is %s, and nothing of a key is shown', (_, env, said) => {
    const message = refusalOf(env);
    expect(message).toContain(said);
    expect(message).not.toContain(base64(KEY).slice(20, 60));
  });

  it('without encryption they are named as having no effect, so that nobody takes the connection for a secured one', () => {
    const { notices } = load({ ...right, KAFKA_SECURITY_PROTOCOL: 'sasl_plaintext', ...sasl });
    expect(notices.join()).toContain('connections to Kafka are not encrypted');
  });
  const sasl = { KAFKA_SASL_MECHANISM: 'PLAIN', KAFKA_SASL_USER: 'u', KAFKA_SASL_PASSWORD: 'p' };
});
