import type { LoadReport } from './capture-load.ts';
import type { TargetName } from './capture-servers.ts';
import { amount, median, spread, type Bound, type Figure } from './figures.ts';

/** One round of one target. */
export interface Sample extends LoadReport {
  /** Of the server for each request, until Kafka had what it answered. */
  readonly cpuUs: number;
  /** For each event that came to Kafka. */
  readonly eventCpuUs: number;
  readonly requestsPerSecond: number;
}

/** All targets of one shape of requests. */
export interface Measured {
  readonly shape: string;
  readonly batch: number;
  readonly samples: ReadonlyMap<TargetName, readonly Sample[]>;
  /** In an open loop at half of the rate of the samples. */
  readonly halfLoad: ReadonlyMap<TargetName, Sample>;
}

const TITLES: Readonly<Record<TargetName, string>> = {
  troupe: 'Troupe',
  'troupe-kafkajs': 'Troupe, kafkajs',
  putmessage: 'Troupe /putmessage',
  'putmessage-early': 'Troupe /putmessage, ack none',
  'loop-platformatic': 'bare loop',
  'loop-kafkajs': 'bare loop, kafkajs',
  'collector-early': 'nginx + Lua, answers early',
  'collector-waiting': 'nginx + Lua, waits',
  'collector-each': 'nginx + Lua, a message for each event',
};

/** Events in Kafka for each core, of the first as a multiple of the second's: what an event costs there over what it costs here. */
interface Comparison {
  readonly of: TargetName;
  readonly with: TargetName;
  readonly goal?: number;
}
const COMPARISONS: readonly Comparison[] = [
  { of: 'troupe', with: 'loop-platformatic', goal: 0.8 },
  { of: 'troupe-kafkajs', with: 'loop-kafkajs', goal: 0.8 },
  { of: 'troupe', with: 'collector-waiting', goal: 20 },
  { of: 'troupe', with: 'collector-early', goal: 0.4 },
  { of: 'putmessage', with: 'collector-waiting' },
  { of: 'putmessage-early', with: 'collector-early', goal: 0.5 },
  { of: 'troupe', with: 'collector-each', goal: 3 },
];
const HALF_LOAD: Bound = { atMost: 25 };

/** @param lost what the collector lost of what it answered, for its notes. */
export function figuresOf(measured: readonly Measured[], lost: ReadonlyMap<TargetName, string>): readonly Figure[] {
  return measured.flatMap((one) => [...costs(one, lost), ...comparisons(one), ...latencies(one)]);
}

/** A line for each target; the first figure is the one that survives a noisy machine. */
function costs({ shape, batch, samples }: Measured, lost: ReadonlyMap<TargetName, string>): Figure[] {
  return [...samples].map(([name, rounds]) => {
    const of = (field: keyof Sample): number => median(rounds.map((round) => round[field]));
    const rate = of('requestsPerSecond');
    const notes = [
      `${amount(rate)} requests/s${batch === 1 ? '' : `, ${amount(rate * batch)} events/s`}`,
      `p50 ${amount(of('p50Ms'))}, p99 ${amount(of('p99Ms'))}, p999 ${amount(of('p999Ms'))} ms`,
      `CPU ${spread(rounds.map(({ cpuUs }) => cpuUs))}`,
      `${Math.round(of('bytes'))} bytes`,
      lost.get(name),
    ];
    return {
      what: `${shape}: ${TITLES[name]}: CPU of the server`,
      value: of('cpuUs'),
      unit: 'us/request',
      note: notes.filter((note) => note !== undefined).join('; '),
    };
  });
}

function comparisons({ shape, samples }: Measured): Figure[] {
  const costOf = (name: TargetName): number | undefined => {
    const rounds = samples.get(name);
    return rounds === undefined ? undefined : median(rounds.map(({ eventCpuUs }) => eventCpuUs));
  };
  return COMPARISONS.flatMap(({ of, with: other, goal }) => {
    const [own, others] = [costOf(of), costOf(other)];
    if (own === undefined || others === undefined) return [];
    const isJudged = goal !== undefined && (!other.startsWith('loop') || shape.startsWith('single'));
    const what = `${shape}: ${TITLES[of]} against ${TITLES[other]}, events per core`;
    return { what, value: others / own, unit: 'x', ...(isJudged && { goal: { atLeast: goal } }) };
  });
}

function latencies({ shape, samples, halfLoad }: Measured): Figure[] {
  return [...halfLoad].map(([name, sample]) => {
    const isOurs = name.startsWith('troupe') || name.startsWith('putmessage');
    const full = median((samples.get(name) ?? []).map(({ p99Ms }) => p99Ms));
    const note = `${amount(sample.requestsPerSecond)} requests/s; p50 ${amount(sample.p50Ms)}, p999 ${amount(sample.p999Ms)} ms; p99 at full load ${amount(full)} ms`;
    return {
      what: `${shape}: ${TITLES[name]}: p99 at half load`,
      value: sample.p99Ms,
      unit: 'ms',
      ...(isOurs && { goal: HALF_LOAD }),
      note,
    };
  });
}
