import { PostgresError } from '../../src/postgres/port.ts';

export interface Refusal {
  readonly type: 'refused';
  readonly detail: string;
}

/**
 * Runs `call` over all items; where PostgreSQL refuses the data, halves until the culprits stand alone, so that a poison
 * item costs itself and not its batch. Answers in the order of the items; 'refused' with the reason for a culprit.
 */
export async function isolatingRefusals<Item, Result>(
  items: readonly Item[],
  call: (items: readonly Item[]) => Promise<readonly Result[]>,
): Promise<readonly (Result | Refusal)[]> {
  if (items.length === 0) return [];
  try {
    return await call(items);
  } catch (error) {
    if (!(error instanceof PostgresError) || error.kind !== 'refused') throw error;
    if (items.length === 1) return [{ type: 'refused', detail: error.message }];
    const middle = items.length >> 1;
    const left = await isolatingRefusals(items.slice(0, middle), call);
    const right = await isolatingRefusals(items.slice(middle), call);
    return [...left, ...right];
  }
}
