import type { AddressPolicy } from '../stages/client-address.ts';
import type { MaskingSettings } from './mask.ts';
import type { SigningSettings } from './signature.ts';

/** What is asked of who sends, and taken out of what is sent (spec/capture.md 16.1, rows 31, 32 and 36). Each is off when undefined. */
export interface CaptureGuards {
  readonly signing: SigningSettings | undefined;
  readonly masking: MaskingSettings | undefined;
  readonly addresses: AddressPolicy | undefined;
}

export const NO_GUARDS: CaptureGuards = { signing: undefined, masking: undefined, addresses: undefined };
