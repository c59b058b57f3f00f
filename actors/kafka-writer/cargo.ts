/**
 * Records for one topic on their way to it, until each is acknowledged or known to be too large.
 *
 *     together ──acknowledged──▶ done
 *        │ refused as too large, or nobody knows
 *        ▼
 *     one by one ──acknowledged: leaves; too large: refused──▶ done, or the rest again later
 *
 * One call for all of them costs least, and fails as one: a producer cannot say which of its partitions have answered. So what is sent
 * a second time is sent in calls of one record each, and what was acknowledged of those is never sent again.
 */
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../src/kafka/port.ts';

export interface Cargo<Item extends { readonly record: OutgoingRecord }> {
  readonly topic: string;
  /** Not acknowledged yet, in the order told. */
  left: Item[];
  /** Some of these replace others: after a failure all are sent again, or the older one could come to stand behind the newer. */
  readonly isOrdered: boolean;
  isOneByOne: boolean;
}

export interface CargoAnswers<Item> {
  readonly acknowledged: (items: readonly Item[]) => void;
  /** No topic takes it: it is too large alone. */
  readonly refused: (item: Item) => void;
}

/**
 * Resolves when nothing is left. Called again after a failure it goes on with what is left.
 * @throws ProduceError that time, or an operator, can cure; the others have been tried by then
 */
export async function deliver<Item extends { readonly record: OutgoingRecord }>(
  cargo: Cargo<Item>,
  producer: RecordProducer,
  answers: CargoAnswers<Item>,
): Promise<void> {
  if (cargo.left.length === 0) return;
  if (!cargo.isOneByOne && (await isSentTogether(cargo, producer))) {
    answers.acknowledged(cargo.left);
    cargo.left = [];
    return;
  }
  const items = cargo.left;
  const results = await Promise.allSettled(items.map(({ record }) => producer.send(cargo.topic, [record])));
  const waiting: Item[] = [];
  const done: Item[] = [];
  let failure: PromiseRejectedResult | undefined;
  for (const [index, item] of items.entries()) {
    const result = results[index];
    if (result?.status === 'fulfilled') {
      done.push(item);
    } else if (isTooLarge(result?.reason)) {
      answers.refused(item);
    } else {
      failure ??= result;
      waiting.push(item);
    }
  }
  cargo.left = waiting;
  answers.acknowledged(done);
  if (failure !== undefined) throw failure.reason;
}

/** False: they are to go one by one now. @throws what {@link deliver} throws */
async function isSentTogether(cargo: Cargo<{ readonly record: OutgoingRecord }>, producer: RecordProducer): Promise<boolean> {
  try {
    await producer.send(
      cargo.topic,
      cargo.left.map(({ record }) => record),
    );
    return true;
  } catch (error) {
    if (!(error instanceof ProduceError)) throw error;
    // A full queue took nothing, so the same call may be made again. Of any other failure some partitions know nothing.
    cargo.isOneByOne = error.code === 'too-large' || (error.code !== 'queue-full' && !cargo.isOrdered);
    if (error.code === 'too-large') return false;
    throw error;
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof ProduceError && error.code === 'too-large';
}
