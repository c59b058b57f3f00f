import { state } from '../../observe/facts.ts';
import type { Stage } from '../batch.ts';
import { createMask, nothingMasked, type Mask, type Masked, type MaskingSettings } from '../guards/mask.ts';
import type { RawEvent } from '../shapes.ts';
import type { PreparedEvent } from './prepare.ts';

/**
 * Masks what is stored of an event: its properties, `$set` and `$set_once` (spec/capture.md 16.1, row 32). The last stage before the
 * records are built: what was left out on the way costs nothing, and nothing that another stage added gets past it.
 */
export function masking(settings: MaskingSettings | undefined): Stage<PreparedEvent> {
  if (settings === undefined) return (next) => next;
  const mask = createMask(settings);
  return (next) => (batch) => {
    const masked = nothingMasked();
    const events = batch.events.map((event) => {
      const raw = maskEvent(event.raw, mask, masked);
      return raw === event.raw ? event : { ...event, raw };
    });
    for (const how of Object.keys(masked) as (keyof Masked)[]) {
      const count = masked[how] ?? 0;
      if (count > 0) state('capture-properties-masked', { how, count });
    }
    return next({ ...batch, events });
  };
}

function maskEvent(raw: RawEvent, mask: Mask, masked: Masked): RawEvent {
  const properties = mask(raw.properties, masked);
  const set = raw.set === undefined ? undefined : mask(raw.set, masked);
  const setOnce = raw.setOnce === undefined ? undefined : mask(raw.setOnce, masked);
  return properties === raw.properties && set === raw.set && setOnce === raw.setOnce ? raw : { ...raw, properties, set, setOnce };
}
