/**
 * What traces cost the pipeline: one Troupe process that sends spans to a local collector, fed slices of the mix in which
 * no event, 1 % or all of the events carry a sampled `traceparent`, in turns, so that the slices of a round share the
 * process, its warmth and the mood of the machine.
 *
 *     node test/bench/tracing.bench.ts [--quick]
 *
 * The cost of 1 % drowns in the noise of a slice, so what is judged is a hundredth of the cost of all, which does not; it
 * is a fair stand-in as long as an event has as many spans in both, and the table says how many. Not measured: the
 * SDK that is loaded and sends nothing (it is loaded in all slices; 0.9 s and 51 MB once), and sampling at capture. The
 * choice by uuid is made in all slices, and made as no (mix.ts).
 */
import { startOtlpSink } from '../kit/otlp-sink.ts';
import type { OutgoingRecord } from '../../src/kafka/port.ts';
import { deliver, isQuick, median, spread } from './figures.ts';
import { startStage, until } from './stage.ts';
import { threadsCpuUs } from './cpu.ts';

const EVENTS = isQuick ? 4_000 : 20_000;
const WARM_UP = isQuick ? 4_000 : 60_000;
const ROUNDS = isQuick ? 1 : 5;
const SHARES = [0, 0.01, 1] as const;

function traced(share: number): (record: OutgoingRecord, index: number) => OutgoingRecord {
  const every = share === 0 ? Number.POSITIVE_INFINITY : Math.round(1 / share);
  return (record, index) => {
    // Shifted, so that the sampled ones are of all kinds of the mix, whose period is 20.
    if (!Number.isFinite(every) || (index + Math.floor(index / 20)) % every !== 0) return record;
    const traceId = (0x1000_0000 + index).toString(16).padStart(32, '0');
    return { ...record, headers: { ...record.headers, traceparent: `00-${traceId}-00f067aa0ba902b7-01` } };
  };
}

const sink = await startOtlpSink();
const stage = await startStage({ known: 10_000 });
try {
  const troupe = await stage.troupe({
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
      // Spans leave within their own slice, and none is thrown away: what is measured is all of their cost.
      OTEL_BSP_SCHEDULE_DELAY: '200',
      OTEL_BSP_MAX_QUEUE_SIZE: '1000000',
    },
  });
  await stage.produce(WARM_UP, traced(0.5));
  await stage.allStored();

  const costs = new Map<number, number[]>(SHARES.map((share) => [share, []]));
  const spans = new Map<number, number>(SHARES.map((share) => [share, 0]));
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at < SHARES.length; at++) {
      const share = SHARES[(at + round) % SHARES.length] ?? 0;
      await settled();
      process.kill(troupe.pid, 'SIGSTOP');
      await stage.produce(EVENTS, traced(share));
      const spansBefore = sink.spans.length;
      const before = threadsCpuUs(troupe.pid);
      process.kill(troupe.pid, 'SIGCONT');
      await stage.allStored();
      await settled();
      costs.get(share)?.push((threadsCpuUs(troupe.pid) - before) / EVENTS);
      spans.set(share, (spans.get(share) ?? 0) + sink.spans.length - spansBefore);
    }
  }
  await troupe.end();

  const none = costs.get(0) ?? [];
  const extra = (share: number): number[] => (costs.get(share) ?? []).map((cost, round) => cost / (none[round] ?? Number.NaN) - 1);
  const atOne = extra(0.01).map((ratio) => ratio * 100);
  const ofAll = extra(1);
  const spansEach = (share: number): number => (spans.get(share) ?? 0) / (ROUNDS * EVENTS * share);
  if (!(spansEach(0.01) >= 1 && spansEach(1) >= 1))
    throw new Error(`${spansEach(0.01)} and ${spansEach(1)} spans for each traced event: too few`);
  const base = median(none);
  await deliver([
    {
      what: '1 % of events traced: cost over none, as a hundredth of the cost of all',
      value: median(ofAll),
      unit: '%',
      goal: { atMost: 3 },
      note: `${spread(ofAll)}; spans for each traced event: ${spansEach(0.01).toFixed(1)} at 1 %, ${spansEach(1).toFixed(1)} at all`,
    },
    { what: '1 % of events traced: cost over none, measured directly', value: median(atOne), unit: '%', note: spread(atOne) },
    { what: 'Troupe (node) with nothing traced', value: base, unit: 'us/event', note: spread(none) },
    { what: 'CPU of one traced event, all its spans and their export', value: base * median(ofAll), unit: 'us' },
  ]);
} finally {
  await stage.close();
  await sink.close();
}
process.exit(0);

/** Resolves when no span has arrived for 600 ms: three times the delay of the batches. */
async function settled(): Promise<void> {
  let seen = sink.spans.length;
  let sinceMs = performance.now();
  await until(
    () => {
      if (sink.spans.length !== seen) [seen, sinceMs] = [sink.spans.length, performance.now()];
      return Promise.resolve(performance.now() - sinceMs > 600);
    },
    30_000,
    'the last spans to be sent',
  );
}
