import type { PendingEvent } from './event.ts';

/** One row of PostHog's `events` table (spec/ingestion.md 4.1), and where it came from. */
export interface EventRow {
  readonly uuid: string;
  readonly event: string;
  /** JSON text. */
  readonly properties: string;
  /** Epoch milliseconds, inside what DateTime64(6) and the table's partitioning hold. */
  readonly timestampMs: number;
  readonly teamId: number;
  readonly distinctId: string;
  readonly elementsChain: string;
  readonly createdAtMs: number;
  /** Lower-case UUID. */
  readonly personId: string;
  /** JSON text. */
  readonly personProperties: string;
  /** Epoch milliseconds; stored with second precision. */
  readonly personCreatedAtMs: number;
  readonly personMode: 'full' | 'propertyless' | 'force_upgrade';
  /** Settled when the row is durable; also gives _topic, _partition, _offset. */
  readonly pending: PendingEvent;
}

/** Rows that must be durable before the event row that caused them (delivery.md section 2); at least once. */
export type SideRow =
  | {
      readonly table: 'person';
      readonly id: string;
      readonly teamId: number;
      readonly createdAtMs: number;
      readonly properties: string;
      readonly isIdentified: boolean;
      readonly isDeleted: boolean;
      readonly version: number;
    }
  | {
      readonly table: 'person_distinct_id2';
      readonly teamId: number;
      readonly distinctId: string;
      readonly personId: string;
      readonly isDeleted: boolean;
      /** Rows with a version above 0 also go to `person_distinct_id_overrides`. */
      readonly version: number;
    }
  | {
      readonly table: 'groups';
      readonly teamId: number;
      readonly groupTypeIndex: number;
      readonly groupKey: string;
      readonly createdAtMs: number;
      readonly properties: string;
      /** PostgreSQL's; in the output topic, not in ClickHouse's table (4.4). */
      readonly version: number;
    }
  | {
      readonly table: 'ingestion_warnings';
      readonly teamId: number;
      readonly type: string;
      /** JSON text. */
      readonly details: string;
      readonly timestampMs: number;
    }
  /** A click, a touch or the depth of a scroll (2.11, H-4); coordinates are divided by `scaleFactor` already. */
  | {
      readonly table: 'heatmaps';
      readonly teamId: number;
      /** The event it was found in: key of the output topic. */
      readonly eventUuid: string;
      readonly type: string;
      readonly x: number;
      readonly y: number;
      readonly scaleFactor: number;
      readonly viewportWidth: number;
      readonly viewportHeight: number;
      readonly pointerTargetFixed: boolean;
      readonly currentUrl: string;
      readonly sessionId: string;
      readonly distinctId: string;
      readonly timestampMs: number;
    }
  /** An event that could not be ingested, for the team to see (4.7). Its bytes are in the dead-letter topic. */
  | {
      readonly table: 'events_dead_letter_queue';
      readonly id: string;
      readonly teamId: number;
      readonly eventUuid: string;
      readonly event: string;
      readonly distinctId: string;
      /** JSON text. */
      readonly properties: string;
      readonly elementsChain: string;
      readonly ip: string;
      readonly siteUrl: string;
      /** The envelope's `now`; undefined when it is no date. */
      readonly nowMs: number | undefined;
      readonly createdAtMs: number;
      readonly errorTimestampMs: number;
      readonly errorLocation: string;
      readonly error: string;
      /** JSON text of the whole event. */
      readonly rawPayload: string;
      readonly tags: readonly string[];
    }
  /** Runs of a plugin, counted; a failure with its error (4.8, AM-1 to AM-3). */
  | {
      readonly table: 'app_metrics';
      readonly teamId: number;
      readonly pluginConfigId: number;
      readonly category: 'processEvent' | 'onEvent' | 'scheduledTask' | 'composeWebhook' | 'webhook';
      readonly jobId: string | undefined;
      readonly successes: number;
      readonly successesOnRetry: number;
      readonly failures: number;
      readonly error: { readonly uuid: string; readonly type: string; /** JSON text. */ readonly details: string } | undefined;
      readonly timestampMs: number;
    }
  /** A line that a plugin, or Troupe about a plugin, wrote (4.6, LG-1 to LG-3). */
  | {
      readonly table: 'plugin_log_entries';
      readonly id: string;
      readonly teamId: number;
      readonly pluginId: number;
      readonly pluginConfigId: number;
      readonly source: 'SYSTEM' | 'PLUGIN' | 'CONSOLE';
      readonly type: 'DEBUG' | 'LOG' | 'INFO' | 'WARN' | 'ERROR';
      readonly message: string;
      readonly instanceId: string;
      readonly timestampMs: number;
    };
