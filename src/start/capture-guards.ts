import type { CaptureGuards } from '../capture/guards/guards.ts';
import { DETECTORS } from '../capture/guards/detectors.ts';
import type { MaskingSettings } from '../capture/guards/mask.ts';
import type { SigningSettings } from '../capture/guards/signature.ts';
import type { Config } from '../config/schema.ts';
import { parseSigningKeys } from '../config/signing-keys.ts';

/** The guards of capture that the settings ask for. */
export function guardsOf({ guards }: Pick<Config, 'guards'>): CaptureGuards {
  return { signing: signingOf(guards), masking: maskingOf(guards), addresses: guards.clientIp === 'keep' ? undefined : guards.clientIp };
}

function signingOf({ signing, signingKeys, signingWindowMs }: Config['guards']): SigningSettings | undefined {
  if (signing === 'off') return undefined;
  const keys = parseSigningKeys(signingKeys);
  if (keys === undefined) throw new Error('TROUPE_CAPTURE_SIGNING_KEYS passed the rules and cannot be read');
  return { mode: signing, keys, windowMs: signingWindowMs };
}

function maskingOf({ maskProperties, removeProperties, maskDetect }: Config['guards']): MaskingSettings | undefined {
  const detect = DETECTORS.filter((detector) => maskDetect.includes(detector));
  if (maskProperties.length + removeProperties.length + detect.length === 0) return undefined;
  return { remove: removeProperties, replace: maskProperties, detect };
}
