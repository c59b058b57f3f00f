/**
 * The person state model, as long as wanted: `node test/model/run.ts --rounds 2000 [--seed N] [--trace]`.
 * Prints each failing seed with what it broke, then a summary; the same seed gives the same run. Exit code 1 when there was one.
 */
import { parseArgs } from 'node:util';
import { runModelSeed } from './run-seed.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: process.env['SEED'] ?? '1' },
    trace: { type: 'boolean', default: false },
  },
});
const first = Number(values.seed);
const rounds = Number(values.rounds);
const startedMs = performance.now();
const sums: Record<string, number> = {};
let failedCount = 0;
let violationCount = 0;

for (let seed = first; seed < first + rounds; seed++) {
  const { violations, counts, trace, isQuiet } = await runModelSeed(seed);
  for (const [name, count] of Object.entries({ ...counts, quiet: Number(isQuiet) })) sums[name] = (sums[name] ?? 0) + count;
  if (values.trace) console.log(trace.join('\n'));
  if (violations.length === 0) continue;
  failedCount++;
  violationCount += violations.length;
  console.log(`seed ${seed} failed:`);
  for (const { invariant, detail } of violations.slice(0, 5)) console.log(`  ${invariant}: ${detail.slice(0, 3_000)}`);
}

const seconds = (performance.now() - startedMs) / 1000;
console.log(`${rounds} seeds from ${first}: ${failedCount} with violations (${violationCount}), ${seconds.toFixed(0)} s`);
console.log(
  Object.entries(sums)
    .map(([name, sum]) => `${name} ${sum}`)
    .join(', '),
);
process.exitCode = failedCount > 0 ? 1 : 0;
