/**
 * What one event costs from Kafka to a durable row: CPU of each process, statements, latency and memory, on real Kafka,
 * PostgreSQL and the ClickHouse engine, beside the bare loop (bare-loop.ts) in the same run, over the same records.
 *
 *     node test/bench/ingestion.bench.ts [--events 100000] [--warmup 60000] [--known 10000] [--rounds 3] [--profile] [--quick]
 *
 * Each round is `events` events after the warm-up; the figure is the median round. 25 us an event are 0.025 CPU seconds per
 * 1,000 events. Latency is measured afterwards, at half the pace of the rounds. Not measured: the network, TLS, plugins.
 * Two cores shared with the servers: trust CPU per event, not events/s.
 */
import { parseArgs } from 'node:util';
import { rssMb } from './cpu.ts';
import { deliver, median, spread, type Figure } from './figures.ts';
import { end, perEvent, startStage, until, type Cpu, type Measured, type Stage } from './stage.ts';

export interface IngestionOptions {
  /** Of each round. */
  readonly events: number;
  readonly rounds: number;
  readonly warmup: number;
  readonly known: number;
  /** How long events are fed at half the pace to see their latency. */
  readonly pacedSeconds: number;
  readonly profile: boolean;
}

/**
 * PostHog's plugin-server of October 2024, same mix, same kind of machine, output to Kafka topics: measured once before the build
 * and quoted, not run here. Other concurrency settings did not help it.
 */
const PLUGIN_SERVER_2024 = { what: 'plugin-server 2024', eventsPerSecond: 864, nodeUs: 834, postgresUs: 489 } as const;

export async function runIngestion(options: IngestionOptions): Promise<readonly Figure[]> {
  const { events, rounds, warmup, known, profile } = options;
  const stage = await startStage({ known });
  try {
    const troupe = await stage.troupe({ execArgs: profile ? ['--cpu-prof', `--cpu-prof-dir=${stage.dir}`] : [] });
    await stage.produce(warmup);
    await stage.allStored();
    const measured: Measured[] = [];
    for (let round = 0; round < rounds; round++) measured.push(await stage.withBacklog([troupe], events));
    const memoryMb = rssMb(troupe.pid);
    const pace = median(measured.map((round) => round.eventsPerSecond)) / 2;
    const latencies = profile ? [] : await stage.paced(Math.round(pace * options.pacedSeconds), options.pacedSeconds);
    await troupe.end();
    if (profile) console.log(`CPU profile in ${stage.dir}`);
    const bare = await bareLoop(stage, { warmup, events: rounds * events });
    const toKafka = profile ? undefined : await outputKafka(stage, options);

    const of = (name: keyof Measured): number => median(measured.map((round) => round[name]));
    const rounded = (name: keyof Measured): string => spread(measured.map((round) => round[name]));
    const beside = (name: keyof Measured): NonNullable<Figure['beside']> => ({ what: 'bare loop', value: bare[name] });
    const before = (value: number): NonNullable<Figure['beside']> => ({ what: PLUGIN_SERVER_2024.what, value });
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
        what: 'PostgreSQL statements per 1,000 events',
        value: of('statements') * 1_000,
        unit: '',
        goal: { atMost: 20 },
        note: `BEGIN and COMMIT included; ${spread(measured.map((round) => round.statements * 1_000))}`,
      },
      {
        what: 'events per second, one process',
        value: of('eventsPerSecond'),
        unit: '/s',
        beside: beside('eventsPerSecond'),
        goal: { atLeast: 15_000 },
        note: `on cores shared with all servers; ${rounded('eventsPerSecond')}`,
      },
      ...(latencies.length === 0 ? [] : latencyFigures(latencies, pace)),
      { what: 'resident memory of Troupe', value: memoryMb, unit: 'MiB' },
      ...(toKafka ?? []),
      { what: 'Troupe (node), times the bare loop', value: of('node') / bare.node, unit: 'x' },
      {
        what: 'times less CPU than the baseline, node',
        value: PLUGIN_SERVER_2024.nodeUs / of('node'),
        unit: 'x',
        beside: before(PLUGIN_SERVER_2024.nodeUs),
      },
      {
        what: 'times less CPU than the baseline, PostgreSQL',
        value: PLUGIN_SERVER_2024.postgresUs / of('postgres'),
        unit: 'x',
        beside: before(PLUGIN_SERVER_2024.postgresUs),
      },
      {
        what: 'times more events per second than the baseline',
        value: of('eventsPerSecond') / PLUGIN_SERVER_2024.eventsPerSecond,
        unit: 'x',
        beside: before(PLUGIN_SERVER_2024.eventsPerSecond),
      },
    ];
  } finally {
    await stage.close({ keepDir: profile });
  }
}

function latencyFigures(latencies: readonly number[], pace: number): Figure[] {
  const at = (share: number): number => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
  const note = `${latencies.length} events at ${Math.round(pace)} /s, half of the pace above`;
  return [
    { what: 'from produce to a visible row, p50', value: at(0.5), unit: 'ms', note },
    { what: 'from produce to a visible row, p99', value: at(0.99), unit: 'ms', note },
  ];
}

/** The same process with TROUPE_OUTPUT=kafka: PostHog's topics instead of ClickHouse, which has no part in it. */
async function outputKafka(stage: Stage, { warmup, events, rounds }: IngestionOptions): Promise<readonly Figure[]> {
  const troupe = await stage.troupe({ env: { TROUPE_OUTPUT: 'kafka' } });
  await troupe.ready();
  await stage.countIn('kafka');
  await stage.produce(warmup);
  await stage.allStored();
  const measured: Measured[] = [];
  for (let round = 0; round < rounds; round++) measured.push(await stage.withBacklog([troupe], events));
  const memoryMb = rssMb(troupe.pid);
  await troupe.end();
  const figure = (what: string, name: keyof Measured, unit: string): Figure => {
    const values = measured.map((round) => round[name]);
    return { what: `output kafka: ${what}`, value: median(values), unit, note: spread(values) };
  };
  return [
    figure('Troupe (node)', 'node', 'us/event'),
    figure('PostgreSQL', 'postgres', 'us/event'),
    figure('Kafka broker', 'broker', 'us/event'),
    figure('events per second, one process', 'eventsPerSecond', '/s'),
    { what: 'output kafka: resident memory of Troupe', value: memoryMb, unit: 'MiB' },
  ];
}

/** The baseline over the records that Troupe has stored, into an empty table of the same shape. */
async function bareLoop(stage: Stage, { warmup, events }: { readonly warmup: number; readonly events: number }): Promise<Measured> {
  await stage.truncateEvents();
  const script = stage.script('bare-loop.ts');
  const bare = [{ pid: script.pid ?? 0 }];
  const all = warmup + events;
  const mark = async (): Promise<{ rows: number; cpu: Cpu; ms: number }> => ({
    rows: await stage.stored(),
    cpu: await stage.cpu(bare),
    ms: performance.now(),
  });
  const atStart = await mark();
  await until(async () => (await stage.stored()) >= warmup, 180_000, 'the bare loop to warm up');
  const warm = await mark();
  const before = warm.rows < all ? warm : atStart; // a tiny sample is one block
  await until(async () => (await stage.stored()) >= all, 180_000, 'the bare loop to end');
  const after = await mark();
  await end(script);
  const count = after.rows - before.rows;
  return perEvent(count, (after.ms - before.ms) / 1000, before.cpu, after.cpu);
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
    await runIngestion({
      events: Number(values.events ?? (quick ? 5_000 : 100_000)),
      warmup: Number(values.warmup ?? (quick ? 5_000 : 60_000)),
      known: Number(values.known),
      rounds: Number(values.rounds),
      pacedSeconds: quick ? 2 : 10,
      profile: values.profile,
    }),
  );
  process.exit(0);
}
