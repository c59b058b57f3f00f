import { hash } from 'node:crypto';
import { without, type Stage } from '../batch.ts';
import { resourceOf, type QuotaResource } from '../quotas.ts';
import type { Routed } from '../routed.ts';
import type { Sampling } from '../tokens/settings.ts';
import type { PreparedEvent } from './prepare.ts';
import type { PreparedRecording } from './prepare-recording.ts';

/** What the settings of a token ask of an event or a recording. */
export interface Tailoring<E> {
  readonly typeOf: (one: E) => QuotaResource;
  /** What is stored or left out together. */
  readonly sampledBy: (one: E, by: Sampling['by']) => string;
}

export const TAILORING_EVENTS: Tailoring<PreparedEvent> = {
  typeOf: ({ raw }) => resourceOf(raw),
  sampledBy: ({ distinctId, uuid }, by) => (by === 'uuid' ? uuid : distinctId),
};

export const TAILORING_RECORDINGS: Tailoring<PreparedRecording> = {
  typeOf: () => 'recordings',
  sampledBy: ({ sessionId }) => sessionId,
};

/**
 * Does with the events of a token what its settings say (16.1, row 24): types that it may not send are left out, then what its sample leaves out; the
 * rest goes to its own topic. The sample is a matter of arithmetic: what is in it is in it on every process, and when it is sent again.
 */
export function tailored<E extends Routed>({ typeOf, sampledBy }: Tailoring<E>): Stage<E> {
  return (next) => (batch) => {
    const { settings, token } = batch;
    if (settings === undefined) return next(batch);
    const { types, sampling, topic } = settings;
    if (types === undefined && sampling === undefined && topic === undefined) return next(batch);
    const kept = without(batch, (event) => {
      if (types?.has(typeOf(event)) === false) return 'type_not_allowed';
      return sampling === undefined || isSampled(token, sampledBy(event, sampling.by), sampling.share) ? undefined : 'sampled_out';
    });
    if (topic === undefined) return next(kept);
    return next({ ...kept, events: kept.events.map((event) => (OWN_TOPIC.has(event.lane) ? { ...event, topic } : event)) });
  };
}

/** Lanes of plain events. What reads the others expects the form of their events, and of no others. */
const OWN_TOPIC: ReadonlySet<Routed['lane']> = new Set(['main', 'historical'] as const);

/** Whether an id is in the sample: the first 32 bits of a hash say where it stands between 0 and 1. */
export function isSampled(token: string, id: string, share: number): boolean {
  return hash('sha1', `${token}:${id}`, 'buffer').readUInt32BE(0) / 2 ** 32 < share;
}
