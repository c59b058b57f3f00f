import { afterEach, describe, expect, it } from 'vitest';
import { createInspectionSource, type InspectionParts } from '../../../src/start/inspection-source.ts';
import { state } from '../../../src/observe/facts.ts';
import { manualClock } from '../../kit/clock.ts';

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

/** A source of a process whose tree is not there yet; the stores have nothing. */
function setUp() {
  const asked: string[] = [];
  const parts: Pick<InspectionParts, 'troupe' | 'clock' | 'clickhouse'> = {
    troupe: () => undefined,
    clock: manualClock(5),
    clickhouse: {
      query(sql) {
        asked.push(sql);
        return Promise.resolve([]);
      },
    },
  };
  const source = createInspectionSource(parts as InspectionParts);
  ends.push(() => source.stop());
  return { source, asked };
}

const place = (offset: number) => ({ topic: 'events', partition: 1, offset });

describe('with output kafka', () => {
  it('the inspector says that it cannot look a row up, and still tells of events that made none', async () => {
    const source = createInspectionSource({
      troupe: () => undefined,
      clock: manualClock(5),
      clickhouse: undefined,
    } as unknown as InspectionParts);
    ends.push(() => source.stop());
    state('event-ended', { uuid: 'aaaa', teamId: 1, ...place(7), outcome: 'dropped', reason: 'plugin' });
    expect(await source.event('aaaa')).toMatchObject({ outcome: 'dropped' });
    expect(await source.event('bbbb')).toMatchObject({
      outcome: 'unknown',
      detail: expect.stringContaining('TROUPE_OUTPUT=kafka') as string,
    });
  });
});

describe('what the inspector remembers', () => {
  it('dead letters are counted by reason, whoever found them, and the last hundred are shown, newest first', async () => {
    const { source } = setUp();
    state('dead-letter-produced', { reason: 'failed_parse_message', count: 150, places: Array.from({ length: 150 }, (_, n) => place(n)) });
    state('dead-letter-produced', { reason: 'row_refused', count: 1, places: [place(500)] });
    const { events } = await source.deadLetters();
    expect(events.counts).toEqual({ failed_parse_message: 150, row_refused: 1 });
    expect(events.recent).toHaveLength(100);
    expect(events.recent[0]).toEqual({ reason: 'row_refused', ...place(500), atMs: 5 });
    expect(events.recent[1]).toMatchObject({ reason: 'failed_parse_message', offset: 149 });
  });

  it('an event that made no row is told from memory, in any case of letters, and only others are looked up', async () => {
    const { source, asked } = setUp();
    const uuid = '0193F4E1-AAAA-7BBB-8CCC-DDDDDDDDDDDD';
    state('event-ended', { uuid, teamId: 1, ...place(7), outcome: 'dropped', reason: 'plugin' });
    expect(await source.event(uuid.toLowerCase())).toMatchObject({ outcome: 'dropped', reason: 'plugin', offset: 7 });
    expect(asked).toEqual([]);
    expect(await source.event('0193f4e1-aaaa-7bbb-8ccc-dddddddddddf')).toBeUndefined();
    expect(asked).toHaveLength(1);
  });

  it('nothing of the tree is there before the tree is', async () => {
    const { source } = setUp();
    expect(source.actors({ limitCount: 10 })).toEqual([]);
    expect(source.tree(10).children).toEqual([]);
    expect(await source.ledgers()).toEqual([]);
  });
});
