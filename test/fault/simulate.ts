/**
 * The simulation, as long as wanted: `node test/fault/simulate.ts --rounds 500 [--seed N] [--trace] [--output kafka]`.
 * Prints each failing seed with what it broke; the same seed gives the same run. Exit code 1 when there was one.
 */
import { parseArgs } from 'node:util';
import { runSeed } from './simulation/run-seed.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: process.env['SEED'] ?? '1' },
    trace: { type: 'boolean', default: false },
    output: { type: 'string', default: 'clickhouse' },
  },
});
const { output } = values;
if (output !== 'clickhouse' && output !== 'kafka') throw new Error('--output is clickhouse or kafka');
const first = Number(values.seed);
const rounds = Number(values.rounds);
const startedMs = performance.now();
let failedCount = 0;
let virtualMs = 0;
let rowCount = 0;

for (let seed = first; seed < first + rounds; seed++) {
  const result = await runSeed(seed, { output });
  virtualMs += result.virtualMs;
  rowCount += result.counts.rows;
  if (values.trace) console.log(result.trace.join('\n'));
  if (result.violations.length === 0) continue;
  failedCount++;
  console.log(`seed ${seed} failed:`);
  for (const { invariant, detail, atMs } of result.violations) console.log(`  ${invariant} at ${atMs} ms: ${detail}`);
}

const seconds = (performance.now() - startedMs) / 1000;
console.log(
  `${rounds} seeds from ${first}, ${failedCount} with violations; ${rowCount} rows, ${Math.round(virtualMs / 60_000)} virtual minutes in ${seconds.toFixed(1)} s`,
);
if (failedCount > 0) console.log(`Again, one of them: node test/fault/simulate.ts --output ${output} --rounds 1 --seed N --trace`);
process.exitCode = failedCount > 0 ? 1 : 0;
