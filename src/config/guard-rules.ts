import type { Rule } from './rule.ts';
import { parseSigningKeys } from './signing-keys.ts';

/** What TROUPE_CAPTURE_MASK_DETECT may name. */
export const MASK_DETECTORS = ['emails', 'cards', 'ipv4'] as const;

/** What must hold between the settings of the guards of capture. */
export const GUARD_RULES: readonly Rule[] = [
  {
    prose: 'TROUPE_CAPTURE_TLS_CERT and TROUPE_CAPTURE_TLS_KEY come together',
    check({ guards: { tlsCert, tlsKey } }) {
      if ((tlsCert === undefined) === (tlsKey === undefined)) return undefined;
      const name = 'TROUPE_CAPTURE_TLS_CERT + TROUPE_CAPTURE_TLS_KEY';
      return { name, value: undefined, allowed: 'both or neither', todo: 'set the other one' };
    },
  },
  {
    prose:
      'TROUPE_CAPTURE_SIGNING comes with TROUPE_CAPTURE_SIGNING_KEYS, each `id:secret` with an id of its own (letters, digits, `_`, `-`) and a secret of at least 16 characters',
    check({ guards: { signing, signingKeys } }) {
      const isReadable = parseSigningKeys(signingKeys) !== undefined;
      if (isReadable && (signing === 'off' || signingKeys.length > 0)) return undefined;
      return {
        name: 'TROUPE_CAPTURE_SIGNING_KEYS',
        value: undefined,
        allowed: 'id:secret,id:secret, needed with TROUPE_CAPTURE_SIGNING',
        todo: isReadable ? 'set it' : 'correct it; a secret: openssl rand -hex 32',
      };
    },
  },
  {
    prose: `TROUPE_CAPTURE_MASK_DETECT names nothing but ${MASK_DETECTORS.join(', ')}`,
    check({ guards: { maskDetect } }) {
      const unknown = maskDetect.filter((name) => !(MASK_DETECTORS as readonly string[]).includes(name));
      if (unknown.length === 0) return undefined;
      const allowed = `any of ${MASK_DETECTORS.join(', ')}, separated by commas`;
      return { name: 'TROUPE_CAPTURE_MASK_DETECT', value: unknown.join(', '), isUnreadable: true, allowed, todo: 'correct it' };
    },
  },
];
