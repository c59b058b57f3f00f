/**
 * Two ways of running Troupe, in turns on one stage: whether a change brings anything.
 *
 *     node test/bench/compare.ts [--a .] [--b /work/main] [--a-args "--max-semi-space-size=64"] [--b-args ""] [--turns 2]
 *
 * `a` and `b` are checkouts (this one by default), `…-args` flags of node, `…-env` settings as NAME=value with commas between.
 * The turns are A B B A A B B A …, since the tables grow: each a new process, a warm-up and two rounds. The medians of CPU for each event
 * are printed, and how much of A's B needs. On a shared machine only the ratio says anything, and less than 3 % says nothing.
 */
import { parseArgs } from 'node:util';
import { amount, median } from './figures.ts';
import { startStage, type Measured } from './stage.ts';

const { values } = parseArgs({
  options: {
    a: { type: 'string', default: '.' },
    b: { type: 'string', default: '.' },
    'a-args': { type: 'string', default: '' },
    'b-args': { type: 'string', default: '' },
    'a-env': { type: 'string', default: '' },
    'b-env': { type: 'string', default: '' },
    turns: { type: 'string', default: '2' },
    events: { type: 'string', default: '60000' },
    warmup: { type: 'string', default: '60000' },
  },
});

const words = (text: string, separator: string): string[] => text.split(separator).filter((word) => word !== '');
const sides = (['a', 'b'] as const).map((name) => ({
  root: values[name],
  execArgs: words(values[`${name}-args`], ' '),
  env: Object.fromEntries(words(values[`${name}-env`], ',').map((pair) => pair.split('=') as [string, string])),
  measured: [] as Measured[],
}));

const stage = await startStage({ known: 10_000 });
try {
  for (let turn = 0; turn < Number(values.turns) * 2; turn++) {
    const side = sides[Math.ceil(turn / 2) % 2];
    if (side === undefined) throw new Error('there are two sides');
    const { root, execArgs, env, measured } = side;
    const troupe = await stage.troupe({ execArgs, env, ...(root !== '.' && { root }) });
    await stage.produce(Number(values.warmup));
    await stage.allStored();
    for (let round = 0; round < 2; round++) measured.push(await stage.withBacklog([troupe], Number(values.events)));
    await troupe.end();
  }
  for (const name of ['node', 'main', 'postgres', 'engine', 'broker', 'statements', 'eventsPerSecond'] as const) {
    const [a = Number.NaN, b = Number.NaN] = sides.map(({ measured }) => median(measured.map((round) => round[name])));
    const all = sides.map(({ measured }) => measured.map((round) => amount(round[name])).join(' ')).join('  |  ');
    console.log(`${name.padEnd(16)} ${amount(a).padStart(9)} ${amount(b).padStart(9)}   b/a ${(b / a).toFixed(3)}   ${all}`);
  }
} finally {
  await stage.close();
}
process.exit(0);
