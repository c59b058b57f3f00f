import { channel, type Channel } from 'node:diagnostics_channel';

/**
 * The catalogue of facts: what the rooms of Troupe state about themselves, typed, in the past tense, per batch. A fact
 * costs one property read when nobody listens. `src/telemetry` maps facts to metrics, spans and log lines; nobody else
 * knows who listens. Names: `<room>-<noun>-<verb>`; docs/instrumentation.md has one row for each.
 */
export interface Facts {
  /** One record reached its Outcome. Stated per (partition batch, outcome, reason) with a count. */
  'outcome-settled': { readonly topic: string; readonly outcome: string; readonly reason: string | undefined; readonly count: number };
  'router-batch-read': { readonly topic: string; readonly partition: number; readonly records: number; readonly bytes: number; readonly lag: number };
  'router-partition-assigned': { readonly topic: string; readonly partition: number; readonly generation: number; readonly watermark: number; readonly alreadyStored: number };
  'router-partition-revoked': { readonly topic: string; readonly partition: number; readonly generation: number; readonly unsettled: number };
  'router-watermark-committed': { readonly topic: string; readonly partition: number; readonly offset: number; readonly messageTimestampMs: number };
  'router-backpressure-changed': { readonly topic: string; readonly partition: number; readonly waiting: boolean; readonly reason: 'credit' | 'full' | 'gap' };
  'person-flushed': { readonly created: number; readonly updated: number; readonly merged: number; readonly conflicts: number; readonly durationMs: number };
  'person-loaded': { readonly keys: number; readonly durationMs: number };
  'clickhouse-block-stored': { readonly table: string; readonly rows: number; readonly bytes: number; readonly durationMs: number };
  'clickhouse-insert-failed': { readonly table: string; readonly kind: string; readonly code: number | undefined };
  'clickhouse-gap-filled': { readonly asked: number; readonly missing: number };
  'plugin-batch-invoked': { readonly pluginConfigId: number; readonly events: number; readonly failed: number; readonly durationMs: number };
  'plugin-quarantined': { readonly pluginConfigId: number; readonly untilMs: number; readonly reason: string };
  'dead-letter-produced': { readonly reason: string; readonly count: number };
  'warning-raised': { readonly type: string; readonly debounced: boolean };
  'kafka-produced': { readonly topic: string; readonly records: number; readonly durationMs: number };
  'kafka-consumer-crashed': { readonly message: string };
  'kafka-generation-changed': { readonly generation: number; readonly partitions: number };
  'runtime-actor-crashed': { readonly kind: string; readonly path: string; readonly code: string; readonly message: string };
  'runtime-actor-restarted': { readonly kind: string; readonly path: string; readonly attempt: number; readonly backoffMs: number };
  'runtime-actor-quarantined': { readonly kind: string; readonly path: string; readonly untilMs: number };
  'runtime-message-dead-lettered': { readonly kind: string; readonly reason: 'stopped' | 'full' | 'unhandled' | 'late-reply' | 'failed' };
  'state-store-unavailable': { readonly operation: string; readonly message: string };
  'capture-request-answered': { readonly path: string; readonly status: number; readonly events: number; readonly bytes: number; readonly durationMs: number; readonly reason: string | undefined };
  /**
   * A stage of a SAMPLED event's (or of a batch that holds sampled events) work ended. Telemetry makes the span afterwards, with these
   * times: nothing on the hot path holds a span object. `links` join batches: the contexts of other sampled events in it.
   */
  'stage-ended': {
    readonly name: string;
    readonly trace: { readonly traceId: string; readonly spanId: string };
    /** Set when this stage is itself a parent of later ones: the span takes this id. */
    readonly spanId?: string;
    readonly startMs: number;
    readonly endMs: number;
    readonly attributes?: Readonly<Record<string, string | number | boolean>>;
    readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
    readonly error?: string;
  };
  'log-written': { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly message: string; readonly fields?: Readonly<Record<string, unknown>> };
}
export type FactName = keyof Facts;

const channels = new Map<FactName, Channel>();
function channelOf(name: FactName): Channel {
  let found = channels.get(name);
  if (found === undefined) channels.set(name, (found = channel(`troupe:${name}`)));
  return found;
}

/** States a fact. Synchronous; without a listener it is one Map read. */
export function state<Name extends FactName>(name: Name, fact: Facts[Name]): void {
  const to = channelOf(name);
  if (to.hasSubscribers) to.publish(fact);
}

/** True when somebody listens: lets a caller skip building an expensive fact. */
export function isObserved(name: FactName): boolean {
  return channelOf(name).hasSubscribers;
}

/** Listens to one kind of fact. Returns the function that ends it. A listener that throws is a bug and ends the process. */
export function observe<Name extends FactName>(name: Name, listener: (fact: Facts[Name]) => void): () => void {
  const from = channelOf(name);
  const onMessage = (message: unknown): void => listener(message as Facts[Name]);
  from.subscribe(onMessage);
  return () => {
    from.unsubscribe(onMessage);
  };
}
