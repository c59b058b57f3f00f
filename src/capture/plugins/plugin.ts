import type { IncomingHttpHeaders } from 'node:http';

/**
 * What a plugin of capture is (spec/capture.md 16.1, row 36): a module whose default export is a function that makes one of these three. It is the
 * operator's own code and runs in this process: examples/capture-plugins has one of each, docs/adr/0024 what it may do and what can go wrong.
 *
 *     made ──init(config)──▶ working: process, again and again, also at the same time ──close()──▶ over
 */
export type CapturePlugin = DataPlugin | AuthPlugin | StoragePlugin;
export type MakePlugin = () => CapturePlugin;
export type PluginKind = CapturePlugin['kind'];

interface Lifecycle {
  /** Once, before the first request, with what the configuration has for it. A rejection ends the start. */
  init?(config: unknown): Promise<void> | void;
  /** Once, after the last request. */
  close?(): Promise<void> | void;
}

/** Changes events, or leaves them out. */
export interface DataPlugin extends Lifecycle {
  readonly kind: 'data';
  /** The event, changed or not, or `null`: it is left out, and the client is told 200. The event is a copy; it may be changed and given back. */
  process(event: PluginEvent, about: AboutRequest): Promise<PluginEvent | null> | PluginEvent | null;
}

/**
 * An event as the client sent it, `$set` and `$set_once` as they stood beside its properties. All of it is JSON; an integer that no double
 * holds is an object that JSON.stringify writes as these digits (JSON.rawJSON).
 */
export interface PluginEvent {
  event: string;
  /** Any JSON; undefined when it stands in the properties. */
  distinct_id?: unknown;
  properties: Record<string, unknown>;
  timestamp?: string | undefined;
  $set?: Record<string, unknown> | undefined;
  $set_once?: Record<string, unknown> | undefined;
  /** What the client gave it. To change it changes nothing: the answers of v1 and the knowledge of copies go by it. */
  readonly uuid?: string | undefined;
}

export interface AboutRequest {
  readonly token: string;
  /** The route's template, `/batch`. */
  readonly path: string;
  /** Where the request came from: for auth the whole address, for data what TROUPE_CAPTURE_CLIENT_IP leaves of it. */
  readonly ip: string;
  /** Epoch ms. */
  readonly receivedMs: number;
  /** Aborted when the time of the call is over. */
  readonly signal: AbortSignal;
}

/** Says who may send. */
export interface AuthPlugin extends Lifecycle {
  readonly kind: 'auth';
  process(request: AuthRequest): Promise<AuthDecision> | AuthDecision;
}

export interface AuthRequest extends AboutRequest {
  readonly headers: Readonly<IncomingHttpHeaders>;
}

/** `token`: the events count as those of this one. `reason`: the client reads it. */
export type AuthDecision = { readonly allow: true; readonly token?: string } | { readonly allow: false; readonly reason: string };

/** Keeps records elsewhere, beside Kafka or behind it. */
export interface StoragePlugin extends Lifecycle {
  readonly kind: 'storage';
  /**
   * `mirror`: gets records that are durable already; nobody waits for it. `fallback`: gets what neither Kafka nor the spill took, and when it
   * resolves the client is told 200. Read after `init`.
   */
  readonly role: 'mirror' | 'fallback';
  process(records: readonly PluginRecord[], about: { readonly signal: AbortSignal }): Promise<void>;
}

/** A Kafka record. Shared with who sends it: to be read, not to be changed. */
export interface PluginRecord {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string | Buffer>>;
}
