import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClickHouseWriter } from '../../actors/clickhouse-writer/index.ts';
import type { RowWriterMessage } from '../../actors/row-writer/messages.ts';
import type { DeadLetterMessage } from '../../actors/dead-letter/messages.ts';
import { observe } from '../../src/observe/facts.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { createActorSystem } from '../../src/runtime/system.ts';
import { probe } from '../kit/actors.ts';
import { eventRow, testSettlement } from '../kit/event-rows.ts';
import { requireService } from '../services/availability.ts';
import { probeClickHouse, startClickHouse, type TestClickHouse } from '../services/clickhouse.ts';

const engine = await requireService('ClickHouse engine', probeClickHouse);

const EVENTS = 32_000;
const KILLS = 4;

describe.skipIf(!engine.available)('the writer on the real engine', () => {
  let server: TestClickHouse;
  beforeAll(async () => {
    server = await startClickHouse();
  });
  afterAll(() => server.stop());

  it(`stores ${EVENTS} rows once each while the engine is killed ${KILLS} times in the middle of an insert`, async () => {
    const system = createActorSystem({ name: 'kill', clock: systemClock, random: systemRandom });
    const clickhouse = server.client();
    const deadLetters = probe<DeadLetterMessage>();
    const escalated: unknown[] = [];
    const inserts = { running: 0 };
    const failures: string[] = [];
    const stopListening = observe('clickhouse-insert-failed', ({ kind }) => failures.push(kind));
    const writer = system.spawn(
      createClickHouseWriter({
        warn: () => undefined,
        // Each insert is announced, so that the kill falls into one.
        clickhouse: {
          ...clickhouse,
          insert(block) {
            inserts.running++;
            return clickhouse.insert(block).finally(() => inserts.running--);
          },
        },
        clock: systemClock,
        deadLetter: deadLetters,
        mayWrite: () => true,
        options: { maxRowsCount: 2_000, maxBytes: 10_000_000, maxAgeMs: 50, mailboxCapacityCount: 10_000 },
        strategy: { directive: 'escalate' },
      }),
      'clickhouse-writer',
      undefined,
      (_ref, error) => escalated.push(error),
    );
    const settlements = [testSettlement('kill', 0), testSettlement('kill', 1)];
    for (let offset = 0; offset < EVENTS / 2; offset += 500) {
      for (const settlement of settlements) {
        const rows = Array.from({ length: 500 }, (_, i) =>
          // Seven table partitions a block, one for each distinct_id, so that a kill leaves parts of it.
          eventRow(settlement, offset + i, {
            timestampMs: Date.UTC(2026, (offset + i) % 7, 3),
            properties: JSON.stringify({ text: 'x'.repeat(300) }),
          }),
        );
        expect(writer.tell({ type: 'store-events', rows })).toBe('accepted');
      }
    }
    for (let kill = 0; kill < KILLS; kill++) {
      // Each time a little later in the tens of ms that a block takes; a block that was faster is left alone.
      for (let isInside = false; !isInside; isInside = inserts.running > 0) {
        while (inserts.running > 0) await new Promise((resolve) => setImmediate(resolve));
        while (inserts.running === 0) await new Promise((resolve) => setImmediate(resolve));
        await new Promise((resolve) => setTimeout(resolve, 2 + kill * 5));
      }
      await server.kill();
      await server.restart();
    }
    await system.ask<RowWriterMessage, { readonly type: 'drained' }>(writer, (replyTo) => ({ type: 'drain', replyTo }), 60_000);
    stopListening();

    for (const settlement of settlements) {
      expect(settlement.outcomes.size).toBe(EVENTS / 2);
      expect([...settlement.outcomes.values()].every(({ type }) => type === 'stored')).toBe(true);
      expect(settlement.twice).toEqual([]);
      expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 0, to: EVENTS / 2 }]);
    }
    const [counted] = await clickhouse.query<{ rows: number; places: number }>(
      'SELECT count() AS rows, uniqExact(_partition, _offset) AS places FROM events',
    );
    expect(counted).toEqual({ rows: EVENTS, places: EVENTS });
    expect(failures).toContain('unknown');
    expect(deadLetters.messages).toEqual([]);
    expect(escalated).toEqual([]);
    await system.shutdown(1_000);
  });
});
