/**
 * What one event costs from Kafka to a durable row: CPU microseconds of each process, on real Kafka, PostgreSQL and the
 * ClickHouse engine, beside the bare loop (bare-loop.ts) in the same run, over the same records.
 *
 *     node test/bench/pipeline.bench.ts [--events 100000] [--warmup 40000] [--known 10000] [--rounds 3] [--profile] [--quick]
 *
 * Each round is `events` events after the warm-up; the figure is the median round. Not measured: the network, TLS,
 * plugins. Two cores shared with the servers: trust CPU per event, not events/s.
 */
import { parseArgs } from 'node:util';
import { rssMb } from './cpu.ts';
import { deliver, median, spread, type Figure } from './figures.ts';
import { end, startStage, until, type Cpu, type Measured } from './stage.ts';

export interface PipelineOptions {
  /** Of each round. */
  readonly events: number;
  readonly rounds: number;
  readonly warmup: number;
  readonly known: number;
  readonly profile: boolean;
}

export async function runPipeline({ events, rounds, warmup, known, profile }: PipelineOptions): Promise<readonly Figure[]> {
  const stage = await startStage({ known });
  try {
    const troupe = await stage.troupe({ execArgs: profile ? ['--cpu-prof', `--cpu-prof-dir=${stage.dir}`] : [] });
    await stage.produce(warmup);
    await stage.allStored();
    const measured: Measured[] = [];
    for (let round = 0; round < rounds; round++) measured.push(await stage.withBacklog([troupe], events));
    const memoryMb = rssMb(troupe.pid);
    await troupe.end();
    if (profile) console.log(`CPU profile in ${stage.dir}`);

    // The baseline over the same records, into an empty table of the same shape.
    await stage.truncateEvents();
    const script = stage.script('bare-loop.ts');
    const bare = { pid: script.pid ?? 0 };
    const all = warmup + rounds * events;
    const mark = async (): Promise<{ rows: number; cpu: Cpu; ms: number }> => ({
      rows: await stage.stored(),
      cpu: stage.cpu([bare]),
      ms: performance.now(),
    });
    const atStart = await mark();
    await until(async () => (await stage.stored()) >= warmup, 180_000, 'the bare loop to warm up');
    const warm = await mark();
    const before = warm.rows < all ? warm : atStart; // a tiny sample is one block
    await until(async () => (await stage.stored()) >= all, 180_000, 'the bare loop to end');
    const after = { cpu: stage.cpu([bare]), ms: performance.now() };
    await end(script);

    const of = (name: keyof Measured): number => median(measured.map((round) => round[name]));
    const ofBare = (name: keyof Cpu): number => (after.cpu[name] - before.cpu[name]) / (all - before.rows);
    const rounded = (name: keyof Measured): string => spread(measured.map((round) => round[name]));
    const beside = (name: keyof Cpu): { what: string; value: number } => ({ what: 'bare loop', value: ofBare(name) });
    const unit = 'us/event';
    return [
      {
        what: 'Troupe (node)',
        value: of('node'),
        unit,
        beside: beside('node'),
        goal: { atMost: 25 },
        hope: { atMost: 15 },
        note: rounded('node'),
      },
      { what: '… of it on the main thread', value: of('main'), unit, beside: beside('main'), note: rounded('main') },
      { what: 'PostgreSQL', value: of('postgres'), unit, goal: { atMost: 40 }, hope: { atMost: 20 }, note: rounded('postgres') },
      { what: 'ClickHouse engine', value: of('engine'), unit, beside: beside('engine'), note: rounded('engine') },
      { what: 'Kafka broker', value: of('broker'), unit, beside: beside('broker'), note: rounded('broker') },
      {
        what: "share of the bare loop's events per CPU second (node alone)",
        value: ofBare('node') / of('node'),
        unit: '',
        hope: { atLeast: 0.7 },
      },
      {
        what: 'events per second, one process',
        value: of('eventsPerSecond'),
        unit: '/s',
        beside: { what: 'bare loop', value: (all - before.rows) / ((after.ms - before.ms) / 1000) },
        note: 'on cores shared with all servers',
      },
      { what: 'resident memory of Troupe', value: memoryMb, unit: 'MiB' },
    ];
  } finally {
    await stage.close({ keepDir: profile });
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      events: { type: 'string' },
      warmup: { type: 'string' },
      known: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '3' },
      profile: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
    },
  });
  const { quick } = values;
  await deliver(
    await runPipeline({
      events: Number(values.events ?? (quick ? 5_000 : 100_000)),
      warmup: Number(values.warmup ?? (quick ? 5_000 : 60_000)),
      known: Number(values.known),
      rounds: Number(values.rounds),
      profile: values.profile,
    }),
  );
  process.exit(0);
}
