import { openSpill } from '../../src/capture/spill/spill.ts';
import { ProduceError } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';

/**
 * Child of spill-crash.test.ts: Kafka is away for ever; prints each number once its record is answered for. With a third argument it is a
 * process of another machine, of which only signs of life tell.
 */
const [dir = '', from = '0', farLeaseMs] = process.argv.slice(2);
const spill = await openSpill({
  dir,
  instance: 'child',
  producer: {
    send: () => Promise.reject(new ProduceError('unavailable', 'Kafka is away')),
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  },
  clock: systemClock,
  segmentBytes: 100_000,
  maxBytes: 1 << 30,
  leaseMs: 30_000,
  ...(farLeaseMs === undefined ? {} : { life: { instance: 'far', pid: process.pid, space: '', birth: '', leaseMs: Number(farLeaseMs) } }),
});
setInterval(() => undefined, 1_000_000); // our timers keep nothing alive
let next = Number(from);
async function client(): Promise<never> {
  for (;;) {
    const number = next++;
    const record = {
      key: Buffer.from(`key-${number % 10}`),
      value: Buffer.from(String(number).padEnd(700, '.')),
      headers: { uuid: `uuid-${number}` },
    };
    const result = await spill.send(new Map([['events', [record]]]), 5_000);
    if (result.type !== 'acknowledged') throw new Error(`unexpected ${result.type}`);
    process.stdout.write(`${number}\n`);
  }
}
await Promise.all(Array.from({ length: 16 }, client));
