/** One record of a case; what is not named is what capture would write now. */
export interface Sent {
  readonly event?: string;
  readonly distinctId?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  /** Fields of the envelope, over the others; undefined leaves one out. */
  readonly outer?: Readonly<Record<string, unknown>>;
  /** Fields of the inner event, over the others. */
  readonly inner?: Readonly<Record<string, unknown>>;
  /** L-6: the step of the pipeline in which it ends; 'dead-lettered' is none. @defaultValue createEventStep, where a row is made */
  readonly endsAt?: string;
}

/** The columns of an event's row that a case cares for, each exactly so. JSON columns are parsed. */
export interface StoredEvent {
  readonly event: string;
  readonly distinctId?: string;
  readonly properties?: unknown;
  /** `2021-10-29 01:34:00.000` */
  readonly timestamp?: string;
  /** The timestamp is the wall clock's. */
  readonly isNow?: boolean;
  readonly elementsChain?: string;
  readonly personMode?: string;
  readonly personProperties?: unknown;
  readonly isSyntheticPerson?: boolean;
}
export interface StoredWarning {
  readonly type: string;
  readonly details: unknown;
}
export interface StoredHeatmap {
  readonly [column: string]: string | number | boolean;
}

/** Records of a team of their own, sent to real Kafka, and everything that the team has in ClickHouse afterwards: no more and no less. */
export interface SemanticCase {
  /** A sentence that begins with the rules of spec/ingestion.md. */
  readonly name: string;
  /** `SET` clause on the team's row. */
  readonly team?: string;
  /** Source of a plugin of the team. */
  readonly plugin?: string;
  readonly sent: readonly Sent[];
  /** In the order of their names. */
  readonly events?: readonly StoredEvent[];
  /** In the order of their types. */
  readonly warnings?: readonly StoredWarning[];
  readonly heatmaps?: readonly StoredHeatmap[];
}

export const UUID = '0191f5f0-0000-7000-8000-0000000000aa';
export const NO_ROW: readonly StoredEvent[] = [];
