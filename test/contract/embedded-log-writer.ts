import { systemClock } from '../../src/runtime/clock.ts';
import { openEmbeddedLog } from '../../src/embedded/log.ts';

/** Child of embedded-log-crash.test.ts: appends for ever and prints each number once its record is acknowledged. */
const [dir = '', from = '0', recordBytes = '1000'] = process.argv.slice(2);
const log = await openEmbeddedLog({ dir, clock: systemClock, segmentBytes: 200_000 });
await log.admin().ensureTopics([{ topic: 'events', partitions: 2 }]);
const producer = log.producer();
let next = Number(from);
async function lane(): Promise<never> {
  for (;;) {
    const number = next++;
    const key = Buffer.from(`key-${number % 10}`);
    await producer.send('events', [{ key, value: Buffer.from(String(number).padEnd(Number(recordBytes), '.')) }]);
    process.stdout.write(`${number}\n`);
  }
}
await Promise.all(Array.from({ length: 16 }, lane));
