/**
 * The identifiers of the domain, branded so that one can never be passed for another.
 * A brand costs nothing at run time; the functions below are the only places that make one.
 */
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Integer primary key of a team (`posthog_team.id`). */
export type TeamId = Brand<number, 'TeamId'>;
/** The client-given identifier; many map to one person. Never logged in clear. */
export type DistinctId = Brand<string, 'DistinctId'>;
/** Lower-case UUID of a person (`posthog_person.uuid`). */
export type PersonId = Brand<string, 'PersonId'>;
/** Position of a record in a partition; checked to be a safe integer where it enters. */
export type Offset = Brand<number, 'Offset'>;
/** Consumer-group generation; part of every ledger key. */
export type Generation = Brand<number, 'Generation'>;

export const teamId = (value: number): TeamId => value as TeamId;
export const distinctId = (value: string): DistinctId => value as DistinctId;
export const personId = (value: string): PersonId => value as PersonId;
export const generation = (value: number): Generation => value as Generation;

/** Reads a Kafka offset. @throws RangeError when it is not a safe non-negative integer. */
export function offset(value: number | string): Offset {
  const parsed = typeof value === 'number' ? value : Number(value);
  if (!Number.isSafeInteger(parsed) || parsed < 0) throw new RangeError(`not a Kafka offset: ${value}`);
  return parsed as Offset;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}
