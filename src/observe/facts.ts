import { channel, type Channel } from 'node:diagnostics_channel';
import type { CaptureFacts } from './capture-facts.ts';
import type { ConfigFacts } from './config-facts.ts';
import type { GuardFacts } from './guard-facts.ts';

/**
 * The catalogue of facts: what the rooms of Troupe state about themselves, typed, in the past tense, per batch. A fact
 * costs one property read when nobody listens. `src/telemetry` maps facts to metrics, spans and log lines; nobody else
 * knows who listens. Names: `<room>-<noun>-<verb>`; docs/instrumentation.md has one row for each.
 */
export interface Facts extends CaptureFacts, ConfigFacts, GuardFacts {
  /**
   * Records reached their Outcome: per (partition, outcome, reason) since the last time, with a count. For listeners that follow along;
   * the metrics are read from the ledgers themselves (telemetry/account.ts), because they must add up at any moment.
   */
  'outcome-settled': { readonly topic: string; readonly outcome: string; readonly reason: string | undefined; readonly count: number };
  /** An event that makes no row: dropped or dead-lettered. Few, so one fact each; the inspector remembers the last of them. */
  'event-ended': {
    readonly uuid: string;
    readonly teamId: number | undefined;
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly outcome: string;
    readonly reason: string;
  };
  /** What rules came across since the last time, by the names of domain/findings.ts; two a second at most. */
  'event-findings-counted': { readonly counts: Readonly<Record<string, number | undefined>> };
  /** Labels of the keys (domain/person-properties.ts) that updates have changed on persons that existed; two a second at most (P-39). */
  'person-property-keys-counted': { readonly counts: Readonly<Record<string, number | undefined>> };
  /** By what the records of a slice name their team (T-7). */
  'router-auth-seen': { readonly neither: number; readonly token: number; readonly teamId: number; readonly both: number };
  'router-batch-read': {
    readonly topic: string;
    readonly partition: number;
    readonly records: number;
    readonly bytes: number;
    /** Records of the partition that were not fetched yet. */
    readonly lag: number;
  };
  /** Of the same batch: `counts[n]` values of at most `2 ** n` bytes, and more than half of it. */
  'router-records-sized': { readonly topic: string; readonly counts: readonly number[]; readonly bytes: number };
  /** The last record of a batch was taken up: tracked, and dispatched unless it ended there. */
  'router-batch-taken': { readonly topic: string; readonly records: number; readonly durationMs: number };
  /** A slice of a batch went to the teams, by groups; those that are not `groupsAtOnce` wait for a share of credit. */
  'router-slice-dispatched': {
    readonly topic: string;
    readonly events: number;
    readonly groups: number;
    readonly groupsAtOnce: number;
    readonly overflowMode: string;
  };
  /** The broker's end offset less the watermark, asked for every few seconds, also while the partition waits. */
  'router-lag-measured': { readonly topic: string; readonly partition: number; readonly lag: number };
  'router-partition-assigned': {
    readonly topic: string;
    readonly partition: number;
    readonly generation: number;
    readonly watermark: number;
    readonly alreadyStored: number;
  };
  'router-partition-revoked': {
    readonly topic: string;
    readonly partition: number;
    readonly generation: number;
    readonly unsettled: number;
  };
  'router-watermark-committed': {
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly messageTimestampMs: number;
  };
  'router-backpressure-changed': {
    readonly topic: string;
    readonly partition: number;
    readonly waiting: boolean;
    readonly reason: 'credit' | 'full' | 'gap';
  };
  /** Records of a team's keys that have no tokens left and go to the overflow topic; undefined: there is no such team. */
  'router-keys-overflowed': { readonly topic: string; readonly teamId: number | undefined; readonly records: number };
  'person-flushed': {
    readonly created: number;
    readonly updated: number;
    readonly merged: number;
    readonly conflicts: number;
    readonly durationMs: number;
  };
  /** One transaction that was to make one person of two. */
  'person-merge-ended': {
    readonly result: 'merged' | 'conflict' | 'refused';
    /** Name of the event that asked for it: one of three. */
    readonly call: string;
    /** As they were before. The old one is merged into the new one. */
    readonly oldPersonIdentified: boolean;
    readonly newPersonIdentified: boolean;
  };
  'person-loaded': { readonly keys: number; readonly durationMs: number };
  /** Names of events and properties were written; `firstTeams` had their first event (F-1). */
  'definitions-written': {
    readonly events: number;
    readonly properties: number;
    readonly eventProperties: number;
    readonly firstTeams: number;
    readonly durationMs: number;
  };
  /** Names that were given up. No event is the worse for it (D-8). */
  'definitions-lost': { readonly count: number; readonly reason: string; readonly detail: string };
  'postgres-connection-lost': { readonly message: string };
  /** A deadlock or a serialization failure; the transaction is run again. */
  'postgres-transaction-retried': { readonly statement: string; readonly attempt: number };
  /** It ended unasked, or did not start again: it is started again after a pause. */
  'embedded-postgres-ended': { readonly lastWords: string };
  'clickhouse-block-stored': { readonly table: string; readonly rows: number; readonly bytes: number; readonly durationMs: number };
  'clickhouse-insert-failed': { readonly table: string; readonly kind: string; readonly code: number | undefined };
  /** Output kafka: a flight of records was acknowledged, or had another end. `bytes` of keys and values. */
  'output-flight-landed': { readonly rows: number; readonly sideRows: number; readonly bytes: number; readonly durationMs: number };
  'clickhouse-gap-filled': { readonly asked: number; readonly missing: number };
  'plugin-batch-invoked': {
    readonly pluginId: number;
    readonly pluginConfigId: number;
    readonly events: number;
    readonly failed: number;
    /** Inside the isolate, of all calls that did not fail and of those that did. */
    readonly succeededMs: number;
    readonly failedMs: number;
    /** From handing the batch over to its end. */
    readonly durationMs: number;
  };
  /** Code was brought into the sandbox, or refused. `setupMs` undefined: it has no setupPlugin, or did not get so far. */
  'plugin-loaded': {
    readonly pluginId: number;
    readonly ok: boolean;
    readonly loadMs: number;
    readonly setupMs: number | undefined;
    /** Only names of modules that are offered. */
    readonly imports: readonly string[];
  };
  /** `readMs`: of the configs and sources from PostgreSQL; `durationMs`: until the new ones are started. */
  'plugins-reloaded': { readonly configs: number; readonly readMs: number; readonly durationMs: number };
  /** All new ones have been brought into the sandbox, or refused. */
  'plugins-warmed-up': { readonly plugins: number; readonly durationMs: number };
  'plugin-quarantined': { readonly pluginId: number; readonly pluginConfigId: number; readonly untilMs: number; readonly reason: string };
  /** Lines of one moment of a plugin; the text is the author's and may hold personal data, so it is no part of a fact. */
  'plugin-log-written': {
    readonly pluginId: number;
    readonly source: string;
    readonly sent: number;
    /** Not sent: not kept by the sandbox, too long (LG-2), more than a second's share, the writer gone. */
    readonly lost: number;
    readonly long: number;
    readonly rate: number;
    readonly refused: number;
  };
  'plugin-journal-refused': { readonly pluginId: number; readonly messageType: string; readonly told: string };
  'sandbox-started': { readonly pid: number; readonly durationMs: number };
  'sandbox-ended': { readonly pid: number; readonly reason: string; readonly culprit: number | undefined };
  /** A new database is in use: at the start, or in the old one's place. */
  'geoip-database-loaded': {
    readonly source: string;
    readonly databaseType: string;
    readonly builtAtMs: number;
    readonly bytes: number;
    readonly durationMs: number;
  };
  /** A database was broken, half-written or could not be had; the old one, if there is one, stays. */
  'geoip-database-refused': { readonly source: string; readonly message: string; readonly keepsOld: boolean };
  /** Kafka has acknowledged copies of these records; `places` are where they were read. */
  'dead-letter-produced': {
    readonly reason: string;
    readonly count: number;
    readonly places: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[];
  };
  /** Kafka has acknowledged records that went to another topic: set aside (overflow), or copied beside their event. */
  'forwarder-produced': { readonly topic: string; readonly redirected: number; readonly copied: number };
  'warning-raised': { readonly type: string; readonly debounced: boolean };
  /** Records were given to the producer by one call. */
  'kafka-produce-queued': { readonly topic: string; readonly records: number };
  /** That call failed. */
  'kafka-produce-failed': { readonly topic: string; readonly records: number; readonly code: string };
  'kafka-produced': { readonly topic: string; readonly records: number; readonly durationMs: number };
  'kafka-consumer-crashed': { readonly groupId: string; readonly message: string };
  'kafka-generation-changed': { readonly groupId: string; readonly generation: number; readonly partitions: number };
  /** A tree stands and has subscribed; `atMs` by the monotonic clock, which began with the process. */
  'tree-planted': { readonly atMs: number };
  'runtime-actor-crashed': { readonly kind: string; readonly path: string; readonly code: string; readonly message: string };
  'runtime-actor-restarted': { readonly kind: string; readonly path: string; readonly attempt: number; readonly backoffMs: number };
  'runtime-actor-quarantined': { readonly kind: string; readonly path: string; readonly untilMs: number };
  'runtime-message-dead-lettered': {
    readonly kind: string;
    readonly reason: 'stopped' | 'full' | 'unhandled' | 'late-reply' | 'failed';
    readonly path: string;
    /** Its `type`, never its content. */
    readonly messageType: string;
  };
  'state-store-unavailable': { readonly operation: string; readonly message: string };
  'capture-request-answered': {
    readonly method: string;
    /** The route's template, never the URL. */
    readonly path: string;
    readonly status: number;
    readonly events: number;
    /** Of its body, as sent; `sentBytes` of the answer's. */
    readonly bytes: number;
    readonly sentBytes: number;
    readonly durationMs: number;
    readonly reason: string | undefined;
    /** Whether the operator wants a line for it (TROUPE_CAPTURE_ACCESS_LOG). */
    readonly isLogged: boolean;
    /** The answer carries it as `X-Request-Id`. */
    readonly requestId: string;
    /** Where it could be read: whose events they are. Never a label; masked in log lines. */
    readonly token?: string | undefined;
    /** Of a request with one event: its uuid. */
    readonly eventId?: string | undefined;
    /** What the client says about itself: for the access log, never a label. */
    readonly client: {
      readonly address: string | undefined;
      readonly forwardedFor: string | undefined;
      readonly userAgent: string | undefined;
      readonly referer: string | undefined;
    };
  };
  /** `/putmessage`: messages of a topic that Kafka did not take are in the spill. `entries` and `json` (keys and messages in turn) are for the log line alone. */
  'putmessage-batch-failed': { readonly topic: string; readonly entries: number; readonly isRetryable: boolean; readonly json: string };
  /** `/putmessage` with the answer first: a message that was answered 200 is too large for Kafka. It is lost. */
  'putmessage-refused-late': { readonly topic: string; readonly bytes: number; readonly message: string };
  /** Kafka did not take records of a topic (`code`: of ProduceError, or 'late'): they go through the spill until it does. */
  'spill-diverted': { readonly topic: string; readonly code: string; readonly message: string };
  /** Nothing of the topic is pending any more: records go to Kafka again. */
  'spill-returned': { readonly topic: string };
  /** Records of one request are durable in the spill. */
  'spill-written': { readonly topic: string; readonly records: number; readonly code: string; readonly durationMs: number };
  /** The spill did not take them (`full`, `disk`, `closed`): the request was told to come again. */
  'spill-refused': { readonly topic: string; readonly records: number; readonly code: string; readonly message: string };
  /** Records of this process that wait for Kafka on disk. */
  'spill-pending-changed': { readonly topic: string; readonly records: number };
  /** Kafka has acknowledged records from the spill. */
  'spill-replayed': { readonly topic: string; readonly records: number };
  /** What a dead life of a process left is this process's to replay. */
  'spill-adopted': { readonly origin: string; readonly from: string };
  /** A segment is kept for a person to look at: bytes in it are damaged, or records too large for Kafka. */
  'spill-segment-kept': {
    readonly path: string;
    readonly reason: 'damaged' | 'too-large';
    readonly lostBytes: number;
    readonly refused: number;
  };
  /**
   * A stage of a SAMPLED event's (or of a batch that holds sampled events) work ended. Telemetry makes the span afterwards, with these
   * times: nothing on the hot path holds a span object. `links` join batches: the contexts of other sampled events in it.
   */
  'stage-ended': {
    readonly name: string;
    /** @defaultValue 'internal'. As OpenTelemetry's span kind. */
    readonly kind?: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
    /** The trace, and the span that caused this stage. A cause that is empty, all zero or `spanId` itself: this stage begins the trace. */
    readonly trace: { readonly traceId: string; readonly spanId: string };
    /** The id of this stage's span: give it when later stages name it as their cause. */
    readonly spanId?: string;
    readonly startMs: number;
    readonly endMs: number;
    /** Short names (topic, partition, offset, table, rows, …) or full ones; telemetry/semconv.ts makes them conventional. */
    readonly attributes?: Readonly<Record<string, string | number | boolean>>;
    readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
    readonly error?: string;
  };
  'log-written': {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly message: string;
    readonly fields?: Readonly<Record<string, unknown>>;
  };
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
