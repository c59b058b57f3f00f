/**
 * Two questions about size. Does an event cost more when there are a million known persons instead of 10,000? And how
 * many more events do two processes on two partitions each store than one process on all four?
 *
 *     node test/bench/scale.bench.ts [--quick]
 *
 * Persons are made for at most SEED_LIMIT_MS; how many there were then is in the table. The two processes share the
 * cores with the broker and the databases: on a machine of two cores events/s says how the cores are shared, so CPU per
 * event of both stands beside it. Not measured: several machines, more than four partitions.
 */
import { deliver, isQuick, type Figure } from './figures.ts';
import { startStage, type Measured } from './stage.ts';

const FEW = 10_000;
const MANY = isQuick ? 50_000 : 1_000_000;
const EVENTS = isQuick ? 5_000 : 80_000;
const WARM_UP = isQuick ? 5_000 : 60_000;
const SEED_LIMIT_MS = 90_000;

const stage = await startStage({ known: FEW });
try {
  const first = await stage.troupe();
  await stage.produce(WARM_UP);
  await stage.allStored();
  const few = best(await stage.withBacklog([first], EVENTS), await stage.withBacklog([first], EVENTS));

  const second = await stage.troupe();
  await second.ready();
  await first.ready();
  await stage.produce(WARM_UP);
  await stage.allStored();
  const both = [first, second];
  const two = best(await stage.withBacklog(both, EVENTS), await stage.withBacklog(both, EVENTS));
  await second.end();
  await first.end();

  const seededMs = performance.now();
  const persons = await stage.seed(MANY, SEED_LIMIT_MS);
  const seedSeconds = Math.round((performance.now() - seededMs) / 1000);
  const third = await stage.troupe();
  await stage.produce(WARM_UP);
  await stage.allStored();
  const many = best(await stage.withBacklog([third], EVENTS), await stage.withBacklog([third], EVENTS));
  await third.end();

  const beside = (value: number): NonNullable<Figure['beside']> => ({ what: `${FEW.toLocaleString('en')} persons`, value });
  const named = persons.toLocaleString('en');
  const all = ({ node, postgres, engine, broker }: Measured): number => node + postgres + engine + broker;
  await deliver([
    {
      what: `cost of an event with ${named} known persons, node and PostgreSQL, against ${FEW.toLocaleString('en')}`,
      value: (many.node + many.postgres) / (few.node + few.postgres),
      unit: 'x',
      goal: { atMost: 1.3 },
      note: `persons made in ${seedSeconds} s${persons < MANY ? ', cut short by the limit' : ''}`,
    },
    { what: `Troupe (node), ${named} persons`, value: many.node, unit: 'us/event', beside: beside(few.node) },
    { what: `PostgreSQL, ${named} persons`, value: many.postgres, unit: 'us/event', beside: beside(few.postgres) },
    {
      what: 'events per second, two processes against one',
      value: two.eventsPerSecond / few.eventsPerSecond,
      unit: 'x',
      hope: { atLeast: 1.8 },
      note: `${Math.round(two.eventsPerSecond)} against ${Math.round(few.eventsPerSecond)} /s; cores are shared with every server`,
    },
    { what: 'Troupe (node), two processes together', value: two.node, unit: 'us/event', beside: { what: 'one process', value: few.node } },
    { what: 'all processes, servers included', value: all(two), unit: 'us/event', beside: { what: 'one process', value: all(few) } },
  ]);
} finally {
  await stage.close();
}
process.exit(0);

/** The round in which fewer strangers used the cores. */
function best(...rounds: readonly Measured[]): Measured {
  return rounds.reduce((least, round) => (round.node + round.postgres < least.node + least.postgres ? round : least));
}
