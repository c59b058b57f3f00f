/**
 * Runs the tests: `npm test` for all, `npm test -- unit contract` for some, and what begins with a dash or holds a dot or slash
 * goes to vitest: `npm test -- unit test/unit/config -t secrets`. Steps, in this order:
 *
 *     check        compiler, linter, formatter, generated documentation
 *     unit         rules and behaviours, no servers                        contract     ports, each implementation against one suite
 *     integration  real servers                                            fault        seeds, kills, outages (`kill`: only the kills)
 *
 * A step that fails does not stop the later ones. Real servers that are missing are named at the end; with CI=true they are an
 * error. The last line is `N passed, N failed, N skipped`; the exit code is 0 only when nothing failed and something passed.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { forgetMissingServices, missingServices } from './services/availability.ts';

const root = join(import.meta.dirname, '..');
const reports = join(root, '.troupe/test');
const bin = (path: string): string => join(root, 'node_modules', path);

interface Step {
  readonly name: string;
  readonly commands: readonly { readonly title: string; readonly args: readonly string[] }[];
  /** Where vitest writes its counts; undefined for commands that only pass or fail. */
  readonly report?: string;
  readonly limitMs: number;
}
interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const MINUTE_MS = 60_000;
const SOURCES = ['{src,actors,supervisors,test,scripts,deploy}/**/*.{ts,mjs}', '*.{ts,js}'];
const STEPS = ['check', 'unit', 'contract', 'integration', 'fault'];

const args = process.argv.slice(2);
const wanted = args.filter((arg) => [...STEPS, 'kill'].includes(arg));
const forVitest = args.filter((arg) => !wanted.includes(arg));
const unknown = forVitest.find((arg, index) => !/^-|[./]/.test(arg) && !(forVitest[index - 1] ?? '').startsWith('-'));
if (unknown !== undefined) fail(`Unknown step '${unknown}'. There are: ${STEPS.join(', ')}, kill.`);

const startedMs = Date.now();
mkdirSync(reports, { recursive: true });
forgetMissingServices();

const tallies: { readonly name: string; readonly tally: Tally; readonly seconds: number }[] = [];
for (const name of wanted.length === 0 ? STEPS : wanted) {
  const stepMs = Date.now();
  const tally = await runStep(name === 'check' ? checkStep() : vitestStep(name));
  tallies.push({ name, tally, seconds: Math.round((Date.now() - stepMs) / 1000) });
}
report();

function checkStep(): Step {
  return {
    name: 'check',
    limitMs: 5 * MINUTE_MS,
    commands: [
      { title: 'tsc', args: [bin('typescript/bin/tsc'), '-p', '.'] },
      { title: 'eslint', args: [bin('eslint/bin/eslint.js'), '.'] },
      { title: 'prettier', args: [bin('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', ...SOURCES] },
      { title: 'docs', args: ['scripts/generate-docs.ts', '--check'] },
      { title: 'compatibility', args: ['scripts/check-compatibility.ts'] },
    ],
  };
}

function vitestStep(name: string): Step {
  const project = name === 'kill' ? 'fault' : name;
  const file = join(reports, `${name}.json`);
  const files = name === 'kill' ? ['test/fault/kill'] : [];
  return {
    name,
    limitMs: 12 * MINUTE_MS,
    report: file,
    commands: [
      {
        title: 'vitest',
        args: [
          bin('vitest/vitest.mjs'),
          'run',
          '--project',
          project,
          '--passWithNoTests',
          '--reporter=default',
          '--reporter=json',
          `--outputFile.json=${file}`,
          ...files,
          ...forVitest,
        ],
      },
    ],
  };
}

async function runStep({ name, commands, report: file, limitMs }: Step): Promise<Tally> {
  console.log(`\n== ${name}`);
  if (file !== undefined) rmSync(file, { force: true });
  let failed = 0;
  for (const { title, args: command } of commands) {
    const how = await run(command, limitMs);
    if (how === undefined) continue;
    failed++;
    console.log(`${title} failed: ${how}`);
  }
  return file === undefined ? { passed: commands.length - failed, failed, skipped: 0 } : countTests(file, failed > 0);
}

/** Resolves to undefined when the command succeeded, else to how it ended. At the limit the command and its children are ended. */
function run(command: readonly string[], limitMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, command, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    const signalAll = (signal: NodeJS.Signals): void => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal);
    };
    const timer = setTimeout(() => {
      console.log(`Over its limit of ${limitMs / MINUTE_MS} minutes.`);
      signalAll('SIGKILL');
    }, limitMs);
    const interrupt = (): void => signalAll('SIGTERM');
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      process.removeListener('SIGINT', interrupt).removeListener('SIGTERM', interrupt);
      resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`));
    });
  });
}

/** The counts vitest wrote. A run that failed without a failed test (a file that does not load, a late error) is one failure. */
function countTests(file: string, runFailed: boolean): Tally {
  let counts = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
  try {
    counts = JSON.parse(readFileSync(file, 'utf8')) as typeof counts;
  } catch (error) {
    if (runFailed === false) throw error; // vitest said that all is well and left no account of it
  }
  const { numPassedTests: passed, numFailedTests, numPendingTests, numTodoTests } = counts;
  return { passed, failed: numFailedTests === 0 && runFailed ? 1 : numFailedTests, skipped: numPendingTests + numTodoTests };
}

function report(): void {
  console.log('');
  for (const { name, tally, seconds } of tallies) {
    console.log(`${name.padEnd(12)} ${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped in ${seconds} s`);
  }
  const missing = missingServices();
  for (const { service, reason } of missing) console.log(`Not tested, because it is missing: ${service} (${reason})`);
  const sum = (key: keyof Tally): number => tallies.reduce((total, { tally }) => total + tally[key], 0);
  const missingFails = process.env['CI'] === 'true' ? missing.length : 0;
  const [passed, failed, skipped] = [sum('passed'), sum('failed') + missingFails, sum('skipped')];
  console.log(`All in ${Math.round((Date.now() - startedMs) / 1000)} s`);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}
