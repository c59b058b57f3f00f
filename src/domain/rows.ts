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
    }
  | {
      readonly table: 'ingestion_warnings';
      readonly teamId: number;
      readonly type: string;
      /** JSON text. */
      readonly details: string;
      readonly timestampMs: number;
    };
