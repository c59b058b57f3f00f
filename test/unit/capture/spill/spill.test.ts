import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSpill, type Spill } from '../../../../src/capture/spill/spill.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../../../src/kafka/port.ts';
import { observe, type Facts } from '../../../../src/observe/facts.ts';
import { manualClock, type ManualClock } from '../../../kit/clock.ts';
import { memoryDisk, type MemoryDisk } from '../../../kit/memory-disk.ts';

const DIR = '/spill';
const LIMIT_MS = 5_000;
/** After so long the producer itself gives a record up. */
const PRODUCER_MS = 30_000;

/** Kafka as a lane sees it: takes, refuses, or is silent; what is silent may be answered later. */
interface Broker extends RecordProducer {
  mode: 'up' | 'silent' | ProduceError;
  readonly taken: { readonly topic: string; readonly value: string; readonly record: OutgoingRecord }[];
  /** Values above it are too large. */
  limitBytes: number;
}
function broker(clock: ManualClock): Broker {
  const taken: Broker['taken'] = [];
  return {
    mode: 'up',
    taken,
    limitBytes: 1_000,
    async send(topic, records) {
      await Promise.resolve();
      const { mode } = this;
      if (mode === 'silent') {
        return new Promise((_, reject) => void clock.after(PRODUCER_MS, () => reject(new ProduceError('unavailable', 'silent'))));
      }
      if (mode !== 'up') throw mode;
      if (records.some(({ value }) => value.length > this.limitBytes)) throw new ProduceError('too-large', 'too large');
      for (const record of records) taken.push({ topic, value: record.value.toString(), record });
    },
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  };
}

const record = (value: string, key = 'k'): OutgoingRecord => ({
  key: Buffer.from(key),
  value: Buffer.from(value),
  headers: { uuid: `uuid-${value}`, token: 't' },
});
const of = (topic: string, ...records: readonly OutgoingRecord[]): ReadonlyMap<string, readonly OutgoingRecord[]> =>
  new Map([[topic, records]]);

const turns = async (count = 200): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
};

describe('a sink whose records are durable in Kafka or on disk', () => {
  let kafka: Broker;
  let disk: MemoryDisk;
  let clock: ManualClock;
  let spill: Spill;
  let ends: (() => void)[];
  let replayed: Facts['spill-replayed'][];
  let kept: Facts['spill-segment-kept'][];

  const open = (of_: { readonly on?: MemoryDisk; readonly instance?: string; readonly producer?: RecordProducer } = {}): Promise<Spill> =>
    openSpill({
      dir: DIR,
      instance: of_.instance ?? 'web-1',
      producer: of_.producer ?? kafka,
      clock,
      segmentBytes: 600,
      maxBytes: 1 << 20,
      leaseMs: 10_000,
      disk: of_.on ?? disk,
      life: { instance: of_.instance ?? 'web-1', pid: 1, space: '', birth: '', leaseMs: 10_000 },
    });
  /** Moves time on in steps, with everything that falls due done. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 250) {
      clock.advance(250);
      await turns();
    }
  };
  const values = (topic = 'events'): string[] => kafka.taken.filter((one) => one.topic === topic).map(({ value }) => value);

  beforeEach(async () => {
    clock = manualClock();
    kafka = broker(clock);
    disk = memoryDisk();
    spill = await open();
    replayed = [];
    kept = [];
    ends = [observe('spill-replayed', (fact) => replayed.push(fact)), observe('spill-segment-kept', (fact) => kept.push(fact))];
  });
  afterEach(() => {
    for (const end of ends) end();
  });

  test('16.2 row 12: on the happy path nothing touches the disk', async () => {
    for (let n = 0; n < 100; n++) expect(await spill.send(of('events', record(`${n}`)), LIMIT_MS)).toEqual({ type: 'acknowledged' });
    expect(values()).toHaveLength(100);
    expect(disk.calls).toEqual([]);
  });

  test('a spill that is full, while Kafka is away for all, says how much it could still keep', async () => {
    const room = (): number => spill.roomBytes?.() ?? Infinity;
    expect(room()).toBe(Infinity);
    kafka.mode = new ProduceError('unavailable', 'away');
    const large = record('x'.repeat(200_000));
    let taken = 0;
    while ((await spill.send(of('events', large), LIMIT_MS)).type === 'acknowledged') taken++;
    expect(taken).toBeGreaterThan(1);
    expect(room()).toBeGreaterThanOrEqual(0);
    expect(room()).toBeLessThan(400_000);

    // Another topic that is well could take anything.
    kafka.mode = 'up';
    await spill.send(of('recordings', record('a')), LIMIT_MS);
    expect(room()).toBe(Infinity);
    kafka.limitBytes = 1 << 20;
    await pass(10_000);
    expect(values()).toHaveLength(taken);
    expect(room()).toBe(Infinity);
  });

  test('a topic that Kafka does not have bounds nobody', async () => {
    kafka.mode = new ProduceError('unknown-topic', 'no such topic');
    await spill.send(of('events', record('a')), LIMIT_MS);
    expect(spill.roomBytes?.()).toBe(Infinity);
  });

  test('8: a silent Kafka has four of the five seconds, then the request is answered from the spill', async () => {
    kafka.mode = 'silent';
    const answer = spill.send(of('events', record('a')), LIMIT_MS);
    await pass(3_750);
    expect(disk.calls).toEqual([]);
    await pass(250);
    expect(clock.monotonic()).toBeLessThan(LIMIT_MS);
    expect(await answer).toMatchObject({ type: 'acknowledged' });
    expect(disk.calls.filter((call) => call === 'sync')).toHaveLength(1);
  });

  test('an error of Kafka is not waited for: the request is on disk at once, and what follows is so too', async () => {
    kafka.mode = new ProduceError('queue-full', 'full');
    expect(await spill.send(of('events', record('a')), LIMIT_MS)).toMatchObject({ type: 'acknowledged' });
    expect(await spill.send(of('events', record('b')), LIMIT_MS)).toMatchObject({ type: 'acknowledged' });
    expect(clock.monotonic()).toBe(0);
  });

  test('16.2 row 11: when Kafka answers again everything goes there: same key, headers, value; then nothing is left on disk', async () => {
    kafka.mode = new ProduceError('unavailable', 'away');
    const records = Array.from({ length: 30 }, (_, n) => record(`${n}`, `key-${n % 3}`));
    for (const one of records) await spill.send(of('events', one), LIMIT_MS);
    await pass(2_000);
    expect(values()).toEqual([]);
    kafka.mode = 'up';
    await pass(10_000);
    expect(kafka.taken.map(({ record: { key, value } }) => ({ key, value }))).toEqual(records.map(({ key, value }) => ({ key, value })));
    expect(kafka.taken.map(({ record: { headers } }) => String(headers?.['uuid']))).toEqual(
      records.map(({ headers }) => headers?.['uuid']),
    );
    expect(disk.paths().filter((path) => path.endsWith('.segment'))).toEqual([]);
    expect(replayed.reduce((sum, { records: count }) => sum + count, 0)).toBe(30);
    const before = disk.calls.length;
    await spill.send(of('events', record('after')), LIMIT_MS);
    expect(disk.calls.length).toBe(before);
  });

  test('a replay that Kafka breaks off is stated with its reason, each time, until one succeeds', async () => {
    const failed: Facts['spill-replay-failed'][] = [];
    ends.push(observe('spill-replay-failed', (fact) => failed.push(fact)));
    kafka.mode = new ProduceError('unavailable', 'away');
    await spill.send(of('events', record('a')), LIMIT_MS);
    await pass(2_000);
    expect(failed.length).toBeGreaterThan(1);
    expect(failed[0]).toEqual({ topic: 'events', code: 'unavailable', message: 'away' });
    kafka.mode = 'up';
    await pass(10_000);
    const count = failed.length;
    await pass(10_000);
    expect(failed).toHaveLength(count);
  });

  test('L2: what was on its way when Kafka fell silent is spilled in the order it came, before what comes later', async () => {
    kafka.mode = 'silent';
    const answers = [];
    for (const value of ['1', '2', '3']) {
      answers.push(spill.send(of('events', record(value)), LIMIT_MS));
      await pass(1_000);
    }
    await pass(1_000); // the first one's four seconds are over
    answers.push(spill.send(of('events', record('4')), LIMIT_MS));
    await Promise.all(answers);
    kafka.mode = 'up';
    await pass(PRODUCER_MS + 6_000); // a replay that began in the silence ends by the producer's own limit
    expect(values()).toEqual(['1', '2', '3', '4']);
  });

  test('L2: records of a request that comes while the spill is emptied stay behind those in it', async () => {
    kafka.mode = new ProduceError('unavailable', 'away');
    let next = 0;
    const sent: string[] = [];
    const send = (): Promise<unknown> => {
      sent.push(`${next}`);
      return spill.send(of('events', record(`${next++}`)), LIMIT_MS);
    };
    for (let n = 0; n < 20; n++) await send();
    kafka.mode = 'up';
    const answers: Promise<unknown>[] = [];
    for (let n = 0; n < 400; n++) {
      answers.push(send());
      if (n % 10 === 0) clock.advance(25);
      await turns(3);
    }
    await pass(5_000);
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject({ type: 'acknowledged' });
    expect(values()).toEqual(sent);
  });

  /** Kafka is back and has taken a first segment; the second and last one is being read, for as long as the test wants. */
  async function closing(): Promise<{ finish: () => void }> {
    kafka.mode = new ProduceError('unavailable', 'away');
    await spill.send(of('events', record('1')), LIMIT_MS);
    await turns();
    const { promise, resolve } = Promise.withResolvers<void>();
    const read = disk.read.bind(disk);
    const reads: string[] = [];
    disk.read = async (path) => {
      reads.push(path);
      if (reads.length === 2) await promise;
      return read(path);
    };
    kafka.mode = 'up';
    const send = kafka.send.bind(kafka);
    kafka.send = async (topic, records) => {
      // What comes while the first one is sent goes behind it, to the disk.
      if (kafka.taken.length === 0 && records[0]?.value.toString() === '1') await spill.send(of('events', record('2')), LIMIT_MS);
      return send(topic, records);
    };
    while (reads.length < 2) await pass(250);
    expect(values()).toEqual(['1']);
    return { finish: resolve };
  }

  test('L2, closing: what comes while the last segment is on its way waits for it in memory, and then goes to Kafka directly', async () => {
    const { finish } = await closing();
    const before = disk.calls.filter((call) => call === 'append').length;
    const answers = ['3', '4'].map((value) => spill.send(of('events', record(value)), LIMIT_MS));
    await turns();
    expect(values()).toEqual(['1']);
    finish();
    await turns();
    expect(await Promise.all(answers)).toEqual([{ type: 'acknowledged' }, { type: 'acknowledged' }]);
    expect(values()).toEqual(['1', '2', '3', '4']);
    expect(disk.calls.filter((call) => call === 'append')).toHaveLength(before);
  });

  test('L4: it waits a second; a last segment that takes longer is not waited for', async () => {
    const { finish } = await closing();
    const answers = ['3', '4'].map((value) => spill.send(of('events', record(value)), LIMIT_MS));
    await pass(1_000);
    expect(await Promise.all(answers)).toMatchObject([{ spilled: {} }, { spilled: {} }]);
    finish();
    await pass(1_000);
    expect(values()).toEqual(['1', '2', '3', '4']);
  });

  test('L3: when both fail the request is told to come again, and Kafka is asked anew by the next one', async () => {
    kafka.mode = new ProduceError('unavailable', 'away');
    disk.refuse('create', Object.assign(new Error('no space'), { code: 'ENOSPC' }));
    const result = await spill.send(of('events', record('a')), LIMIT_MS);
    expect(result).toMatchObject({ type: 'unavailable', missing: of('events', record('a')) });
    expect(spill.isTaking()).toBe(false);
    kafka.mode = 'up';
    await turns();
    expect(await spill.send(of('events', record('b')), LIMIT_MS)).toEqual({ type: 'acknowledged' });
    expect(values()).toEqual(['b']);
  });

  test('8: a disk that does not answer ends within the limit of the request too', async () => {
    kafka.mode = new ProduceError('unavailable', 'away');
    disk.makeFolder = () => new Promise(() => undefined);
    const answer = spill.send(of('events', record('a')), LIMIT_MS);
    await pass(LIMIT_MS);
    expect(await answer).toMatchObject({ type: 'unavailable' });
  });

  test('a topic that Kafka refuses holds back no other topic', async () => {
    const send = kafka.send.bind(kafka);
    kafka.send = (topic, records) =>
      topic === 'refused' ? Promise.reject(new ProduceError('unknown-topic', 'no topic')) : send(topic, records);
    const both = new Map([...of('refused', record('r')), ...of('events', record('a'))]);
    expect(await spill.send(both, LIMIT_MS)).toMatchObject({ type: 'acknowledged' });
    const before = disk.calls.filter((call) => call === 'sync').length;
    expect(await spill.send(of('events', record('b')), LIMIT_MS)).toEqual({ type: 'acknowledged' });
    expect(disk.calls.filter((call) => call === 'sync')).toHaveLength(before);
    expect(values()).toEqual(['a', 'b']);
  });

  test('a record that is too large is said so, and neither it nor its request is spilled', async () => {
    expect(await spill.send(of('events', record('x'.repeat(1_001))), LIMIT_MS)).toEqual({ type: 'too-large', detail: 'too large' });
    expect(disk.calls).toEqual([]);
  });

  test('P3: a spilled record that Kafka will never take is kept for a person; the others of its segment are sent', async () => {
    kafka.mode = new ProduceError('unavailable', 'away');
    await Promise.all(['a', 'b'.repeat(300), 'c'].map((value) => spill.send(of('events', record(value)), LIMIT_MS)));
    kafka.limitBytes = 100; // the broker's limit was lowered meanwhile
    kafka.mode = 'up';
    await pass(3_000);
    expect(values()).toEqual(['a', 'c']);
    expect(kept).toMatchObject([{ reason: 'too-large', refused: 1 }]);
    expect(disk.paths().filter((path) => path.endsWith('.kept'))).toHaveLength(1);
  });

  test('P2: killed in the middle of a replay, the next life sends all of the segment: at least once, nothing lost', async () => {
    const dying = broker(clock);
    dying.mode = new ProduceError('unavailable', 'away');
    const killed = await open({ producer: dying });
    for (let n = 0; n < 12; n++) await killed.send(of('events', record(`${n}`)), LIMIT_MS);
    const after = disk.afterCrash(() => 0);
    kafka.taken.push({ topic: 'events', value: '0', record: record('0') }); // it had got so far
    const next = await open({ on: after, instance: 'web-2' });
    next.watch();
    await pass(30_000); // its owner is silent for a lease, and then adopted
    expect(values().slice(1)).toEqual(Array.from({ length: 12 }, (_, n) => `${n}`));
    expect(after.paths().filter((path) => path.endsWith('.segment'))).toEqual([]);
  });

  test('closed while Kafka is silent about something, that is on disk before the close ends', async () => {
    kafka.mode = 'silent';
    const answer = spill.send(of('events', record('a')), LIMIT_MS);
    await turns();
    const closing = spill.close();
    await pass(1_000);
    await closing;
    expect(await answer).toMatchObject({ type: 'acknowledged', spilled: { code: 'late' } });
    expect(disk.paths().filter((path) => path.endsWith('.segment'))).toHaveLength(1);
  });

  test('closed in order with Kafka away, what is pending is free for the next life at once', async () => {
    kafka.mode = new ProduceError('unavailable', 'away');
    await spill.send(of('events', record('a')), LIMIT_MS);
    await spill.close();
    expect(await spill.send(of('events', record('late')), LIMIT_MS)).toMatchObject({ type: 'unavailable' });
    kafka.mode = 'up';
    const next = await open({ instance: 'web-1' });
    next.watch();
    await pass(1_000);
    expect(values()).toEqual(['a']);
  });
});
