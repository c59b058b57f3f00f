import type { CaptureGuards } from '../capture/guards/guards.ts';
import type { SigningSettings } from '../capture/guards/signature.ts';
import type { Config } from '../config/schema.ts';
import { parseSigningKeys } from '../config/signing-keys.ts';

/** The guards of capture that the settings ask for. */
export function guardsOf({ guards }: Pick<Config, 'guards'>): CaptureGuards {
  return { signing: signingOf(guards) };
}

function signingOf({ signing, signingKeys, signingWindowMs }: Config['guards']): SigningSettings | undefined {
  if (signing === 'off') return undefined;
  const keys = parseSigningKeys(signingKeys);
  if (keys === undefined) throw new Error('TROUPE_CAPTURE_SIGNING_KEYS passed the rules and cannot be read');
  return { mode: signing, keys, windowMs: signingWindowMs };
}
