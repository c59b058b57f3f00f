import type { Offset, TeamId } from './ids.ts';
import type { Settlement } from './outcome.ts';

/** A JSON object as parsed. The hot path changes `properties` in place (docs/measured.md: spreads cost 9 us an event). */
export type Json = Record<string, unknown>;

/** Trace of a sampled event; undefined for the others, and then nobody makes a span. */
export interface TraceContext {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits: the span that caused this. */
  readonly spanId: string;
}

/** The outer JSON object of a Kafka value (spec/ingestion.md 1.3), checked field by field. `data` is still text. */
export interface Envelope {
  readonly uuid: unknown;
  readonly distinctId: string;
  readonly ip: string | undefined;
  readonly siteUrl: string | undefined;
  /** JSON text of the inner object; '' once it was parsed (forgetContent), as is every text here that the event has by then. */
  readonly data: string;
  readonly sentAt: string | undefined;
  readonly token: string | undefined;
  readonly teamId: number | undefined;
  /** The outer object as parsed. Rule K-20 writes every field of it except `data` over the inner object. Empty after forgetContent. */
  readonly fields: Json;
}

/** The event as plugins see it (spec/ingestion.md PE-1). Mutable on purpose: plugins and normalisation edit it. */
export interface PluginEvent {
  uuid: string;
  event: string;
  distinct_id: string;
  team_id: number;
  now: string;
  ip: string | null;
  site_url?: string;
  sent_at?: string;
  timestamp?: unknown;
  offset?: unknown;
  token?: string;
  properties: Json;
  $set?: Json;
  $set_once?: Json;
  $unset?: unknown;
  [key: string]: unknown;
}

/**
 * One record on its way: what the router read, and the handle to settle it with. Carried from router to writer.
 * `raw` is the original Kafka value, needed only if the event must be dead-lettered.
 */
export interface PendingEvent {
  readonly offset: Offset;
  readonly settlement: Settlement;
  readonly envelope: Envelope;
  readonly teamId: TeamId;
  readonly raw: Buffer;
  readonly key: Buffer | null;
  /** Kafka headers as read (values as Buffers or strings). */
  readonly headers: Readonly<Record<string, unknown>> | undefined;
  /** Kafka's message timestamp. */
  readonly timestampMs: number;
  /**
   * True when a previous owner of the partition may already have done part of this event's work: then persons and
   * mappings are sent to ClickHouse again although PostgreSQL shows no change (side rows are at least once).
   */
  readonly maybeReplayed: boolean;
  readonly trace: TraceContext | undefined;
}

/** The events of one (team, distinct_id) in one batch, in offset order. */
export interface EventGroup {
  readonly teamId: TeamId;
  readonly distinctId: string;
  readonly events: PendingEvent[];
}
