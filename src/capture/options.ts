import type { Clock, Random } from '../runtime/clock.ts';
import type { CaptureTopics } from './classify.ts';
import type { GlobalLimit } from './global-limit.ts';
import type { CaptureGuards } from './guards/guards.ts';
import type { Lasting } from './lasting.ts';
import type { AccessLog } from './layers/access-log.ts';
import type { CaptureLimits } from './limits.ts';
import type { OpenedPlugins } from './plugins/open.ts';
import type { PutmessageSettings } from './putmessage/handler.ts';
import type { SdkSettings } from './sdk.ts';
import type { EventSink } from './sink.ts';
import type { StaticFiles } from './static-files.ts';
import type { CaptureRules } from './rules.ts';
import type { Quotas } from './quotas.ts';
import type { DedupeSettings } from './stages/dedupe.ts';
import type { Restrictions } from './restrictions/watch.ts';
import type { ReplayOverflow } from './replay-overflow.ts';
import type { AdmissionSettings } from './stages/admitted.ts';
import type { SpendingSettings } from './stages/spending.ts';

/**
 * What a chain of capture is built from: what settings say, and what was opened for it. Building has no effects, so that it can be done at a
 * reload, and thrown away.
 */
export interface CaptureOptions {
  readonly sink: EventSink;
  readonly topics: CaptureTopics;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<CaptureLimits>;
  /** Absent: there is no such path. */
  readonly putmessage?: PutmessageSettings & { readonly logMessages: boolean };
  /** What becomes of events besides being stored (spec/capture.md 6.5, 7). @defaultValue nothing */
  readonly rules?: CaptureRules;
  /** Where stored events are remembered. @defaultValue nowhere: duplicates are left to ClickHouse */
  readonly dedupe?: DedupeSettings | undefined;
  /** What tokens have used up. @defaultValue nothing */
  readonly quotas?: Quotas;
  /** What is asked of who sends, and taken out of what is sent. @defaultValue nothing */
  readonly guards?: CaptureGuards;
  /** The operator's own, of kind data and auth; those of kind storage are around the sink. @defaultValue none */
  readonly plugins?: OpenedPlugins;
  /** What is laid down for events while capture runs (7.4). @defaultValue nothing */
  readonly restrictions?: Restrictions;
  /** Whose events are taken, and what is laid down for each token (16.1, rows 24, 29, 30). @defaultValue everybody's */
  readonly tokens?: AdmissionSettings;
  /** What tokens may spend (16.1, rows 14 and 23). @defaultValue without end */
  readonly spending?: SpendingSettings;
  /** Keys that send too many over all processes (7.2). @defaultValue none */
  readonly globalLimit?: GlobalLimit;
  /** Sessions whose recordings go aside (7.2). @defaultValue none */
  readonly replayOverflow?: ReplayOverflow;
  /** What SDKs are told. @defaultValue nothing is recorded */
  readonly sdk?: SdkSettings;
  /** Scripts that posthog-js loads from here. @defaultValue none */
  readonly files?: StaticFiles;
  /** Requests that get a line in the log. @defaultValue 'off' */
  readonly accessLog?: AccessLog;
  /** Share of requests that are traced when they bring no sampled `traceparent`. */
  readonly sampleRatio: number;
}

/** A chain's options, and what it shares with those before and after it. */
export interface ChainOptions extends CaptureOptions {
  readonly isDraining: () => boolean;
  readonly lasting: Lasting;
}
