/**
 * `npm run bench`: every part, or those that are named, one after the other, each in a process of its own.
 *
 *     npm run bench                         all parts; about 12 minutes on two quiet cores
 *     npm run bench -- runtime capture      some
 *     npm run bench -- ingestion --write    keeps the figures in results.json and makes results.md from it
 *     npm run bench -- --quick              tiny samples: whether it runs, not what it says
 *
 * A part that is run again replaces its own section of the results and no other, and every section has its own date,
 * commit and load average. Exit code 1 when a part failed to run; a missed goal is a result, not a failure.
 */
import { execFileSync, fork } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { cellsOf, verdictOf, type Figure, type Part } from './figures.ts';

const PARTS: Readonly<Record<string, { readonly file: string; readonly title: string }>> = {
  runtime: { file: 'runtime.bench.ts', title: 'The runtime: messages and idle actors' },
  domain: { file: 'domain.bench.ts', title: 'The rules of the domain, without any I/O' },
  ingestion: { file: 'ingestion.bench.ts', title: 'Ingestion: from Kafka to a durable row' },
  scale: { file: 'scale.bench.ts', title: 'Scale: many known persons, two processes' },
  capture: { file: 'capture.bench.ts', title: 'Capture: from HTTP to an acknowledged record' },
  tracing: { file: 'tracing.bench.ts', title: 'What traces cost' },
};
const here = import.meta.dirname;
const store = join(here, 'results.json');

const args = process.argv.slice(2);
const flags = args.filter((arg) => arg.startsWith('--'));
const named = args.filter((arg) => !arg.startsWith('--'));
const unknown = [...named.filter((name) => !(name in PARTS)), ...flags.filter((flag) => !['--write', '--quick'].includes(flag))];
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(' ')}. Parts: ${Object.keys(PARTS).join(', ')}. Flags: --write, --quick.`);
  process.exit(2);
}
if (flags.includes('--write') && flags.includes('--quick')) {
  console.error('Tiny samples are not written down: --quick and --write exclude each other.');
  process.exit(2);
}

console.log(machine());
const done: Part[] = [];
let failed = 0;
for (const name of named.length === 0 ? Object.keys(PARTS) : named) {
  const startedMs = performance.now();
  const before = load();
  console.log(`\n${PARTS[name]?.title ?? name}   (load average ${before.toFixed(1)})`);
  const figures = await runPart(PARTS[name]?.file ?? '');
  if (figures === undefined) {
    failed++;
    console.log(`  part '${name}' FAILED: no figures`);
    continue;
  }
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  done.push({ name, figures, date: new Date().toISOString().slice(0, 16) + 'Z', seconds, load: [before, load()], commit: commit() });
}
const missed = done.flatMap(({ name, figures }) =>
  figures.filter((figure) => verdictOf(figure) === 'missed').map((figure) => ({ name, figure })),
);
for (const { name, figure } of missed)
  console.log(`\nmissed: ${name}: ${figure.what}: ${cellsOf(figure).value}, goal ${cellsOf(figure).goal}`);
if (flags.includes('--write') && done.length > 0) write(done);
process.exit(failed === 0 ? 0 : 1);

/** Undefined when the part ended without handing over its figures. */
function runPart(file: string): Promise<readonly Figure[] | undefined> {
  return new Promise((resolve) => {
    const child = fork(join(here, file), flags.includes('--quick') ? ['--quick'] : [], { execArgv: ['--expose-gc'], stdio: 'inherit' });
    let figures: readonly Figure[] | undefined;
    child.on('message', (message) => (figures = message as readonly Figure[]));
    child.on('close', (code) => resolve(code === 0 ? figures : undefined));
  });
}

function write(parts: readonly Part[]): void {
  const kept = existsSync(store) ? (JSON.parse(readFileSync(store, 'utf8')) as { parts: Part[] }).parts : [];
  const all = Object.keys(PARTS).flatMap((name) => [...parts, ...kept].find((part) => part.name === name) ?? []);
  writeFileSync(store, `${JSON.stringify({ machine: machine(), parts: all }, undefined, 2)}\n`);
  writeFileSync(join(here, 'results.md'), markdown(all));
  console.log(`\nwritten: test/bench/results.md`);
}

function markdown(parts: readonly Part[]): string {
  const sections = parts.map(({ name, figures, date, seconds, load: [before, after], commit: at }) => {
    const rows = figures.map((figure) => {
      const { what, value, beside, goal, verdict, note } = cellsOf(figure);
      return `| ${[what, value, beside, goal, verdict === 'missed' ? '**missed**' : verdict, note].join(' | ')} |`;
    });
    return [
      `## ${PARTS[name]?.title ?? name}`,
      '',
      `${date}, commit ${at}, ${seconds} s, load average ${before.toFixed(1)} before and ${after.toFixed(1)} after.`,
      '',
      '| figure | measured | beside it | goal (hope) | | note |',
      '| --- | ---: | --- | --- | --- | --- |',
      ...rows,
      '',
    ].join('\n');
  });
  return [
    '# Results',
    '',
    'Made by `npm run bench -- --write`; do not edit. [README.md](README.md) says what is measured, how far to trust it, and what the missed goals would need.',
    '',
    machine(),
    '',
    ...sections,
  ].join('\n');
}

function machine(): string {
  const [cpu] = cpus();
  return `Machine: ${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}, Node ${process.version}.`;
}

function load(): number {
  return loadavg()[0] ?? 0;
}

function commit(): string {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: here, encoding: 'utf8' }).trim();
}
