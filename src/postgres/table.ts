/**
 * A table of PostHog's that Troupe reads or writes, as data (spec/ingestion.md 5.1): how it is made where it is absent, and
 * what must be true of it where it exists.
 */
export interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, Column>>;
  /** Unique indexes that the statements lean on. One of the same columns will do, by whatever name. */
  readonly unique?: readonly Uniqueness[];
  /** Columns of newer PostHogs that Troupe fills where they are. */
  readonly alsoFills?: readonly string[];
  /** Further clauses of CREATE TABLE. */
  readonly constraints?: readonly string[];
  /** Storage parameters of CREATE TABLE. */
  readonly storage?: string;
  /** Statements; `IF NOT EXISTS` is put in. */
  readonly indexes?: readonly string[];
  /** Whether Troupe inserts rows: then a mandatory column that it does not fill makes every insert fail. */
  readonly isInserted: boolean;
}

export interface Column {
  /** What follows the name in CREATE TABLE. */
  readonly ddl: string;
  /** Undefined: Troupe makes the column, for PostHog's sake, and does not look at it. */
  readonly need: Need | undefined;
}

/** What the statements do with a column. */
export interface Need {
  /** The types, as format_type() names them without length, with which they work. The first is the one to ask for. */
  readonly types: readonly string[];
  /** Ends the sentence "Troupe needs another type, because …". */
  readonly because: string;
}

export interface Uniqueness {
  /** PostHog's name of the constraint or index. */
  readonly name: string;
  /** Columns, or expressions over them. */
  readonly columns: readonly string[];
  /** The same promise in a newer PostHog, where rows belong to projects. */
  readonly or?: readonly string[];
  /** An expression cannot stand in a constraint: then it is made as an index. */
  readonly isIndex?: true;
}

// Widths are PostHog's own business: ids are integer or bigint by its age, and a varchar's length is no matter to a statement.
export const INTEGER: Need = { types: ['integer', 'bigint', 'smallint'], because: 'it is compared and written as a whole number' };
export const TEXT: Need = { types: ['text', 'character varying'], because: 'it is compared and written as text' };
export const JSONB: Need = { types: ['jsonb'], because: 'it is read and written as a JSON object, which other types store differently' };
export const BOOLEAN: Need = { types: ['boolean'], because: 'it is read and written as true or false' };
export const UUID: Need = { types: ['uuid'], because: 'it is compared and written as a uuid' };
export const TIME: Need = { types: ['timestamp with time zone'], because: 'without a zone its instants would shift with the session' };
export const BYTES: Need = { types: ['bytea'], because: 'it is read as bytes' };

/** A column that Troupe reads or writes. */
export const needs = (need: Need, ddl: string): Column => ({ ddl, need });
/** A column that is made where the table is, and not looked at. */
export const has = (ddl: string): Column => ({ ddl, need: undefined });

/** Whether Troupe needs the table; the others are made in an empty database and may be absent elsewhere. */
export const isNeeded = (table: Table): boolean => Object.values(table.columns).some(({ need }) => need !== undefined);
