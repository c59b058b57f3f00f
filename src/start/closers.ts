/**
 * Everything acquired pushes what gives it back; closing runs them once, last in first out, all of them even when some
 * fail, and reports the failures together.
 */
export interface Closers {
  push(name: string, close: () => Promise<void> | void): void;
  /** @throws AggregateError of what failed, after all have run. */
  closeAll(): Promise<void>;
}

export function createClosers(): Closers {
  const stack: { readonly name: string; readonly close: () => Promise<void> | void }[] = [];
  return {
    push: (name, close) => void stack.push({ name, close }),
    async closeAll() {
      const failures: Error[] = [];
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        try {
          await top.close();
        } catch (error) {
          failures.push(new Error(`could not close ${top.name}`, { cause: error }));
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join('; '));
    },
  };
}

/** Runs `body`, then gives back what it has acquired, also when it fails. */
export async function withClosers(body: (closers: Closers) => Promise<number>): Promise<number> {
  const closers = createClosers();
  try {
    return await body(closers);
  } finally {
    await closers.closeAll();
  }
}
