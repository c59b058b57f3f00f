import { afterEach } from 'vitest';
import type { KafkaRecord } from '../../../src/kafka/port.ts';
import { startTroupe, type Troupe } from '../../../supervisors/root.ts';
import { settle } from '../../kit/actors.ts';
import { troupeParts } from '../../kit/troupe.ts';
import { aRecord, type RecordParts } from '../../kit/pipeline.ts';

export const records = (from: number, to: number, parts: RecordParts = {}): KafkaRecord[] =>
  Array.from({ length: to - from }, (_, index) => aRecord(from + index, { distinctId: `d${(from + index) % 3}`, ...parts }));

/** Makes troupes on clocks that stand still, and fells them after each test. */
export function troupesOf() {
  let opened: Troupe[] = [];
  afterEach(() => {
    for (const troupe of opened) troupe.kill();
    opened = [];
  });
  return (fates: Parameters<typeof troupeParts>[0] = {}) => {
    const parts = troupeParts(fates);
    const { clock, consumers, server, accounts } = parts;
    let troupe: Troupe | undefined;
    const started = (): Troupe => {
      if (troupe === undefined) throw new Error('the troupe was not started');
      return troupe;
    };
    /** Lets time pass in small steps; between them everything that can happen happens. */
    const pass = async (ms: number, stepMs = 5): Promise<void> => {
      for (let passed = 0; passed < ms; passed += stepMs) {
        clock.advance(stepMs);
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
        if (troupe !== undefined) await settle(troupe.tree().system);
      }
    };
    return {
      ...parts,
      pass,
      troupe: started,
      start: async (): Promise<Troupe> => {
        opened.push((troupe = await startTroupe(parts.deps)));
        return troupe;
      },
      consumer: (at = consumers.length - 1) => {
        const one = consumers[at];
        if (one === undefined) throw new Error(`no consumer ${at}`);
        return one;
      },
      /** Whether a promise has settled after the time given. */
      isDone: async (promise: Promise<unknown>, ms = 0): Promise<boolean> => {
        let done = false;
        void promise.then(() => (done = true));
        await pass(ms);
        await Promise.resolve();
        return done;
      },
      offsets: (): number[] =>
        server
          .events()
          .map((row) => Number(row['_offset']))
          .toSorted((a, b) => a - b),
      account: () => accounts.read(),
    };
  };
}

export const only = (partition: number, committed?: number) => [{ topic: 'events', partition, committed }];
