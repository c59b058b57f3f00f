/**
 * From a fresh clone to a running command, with nothing on the machine but Node (20.20 or newer) and npm:
 *
 *     node scripts/bootstrap.mjs demo|start|migrate [options]      the program (src/main.ts)
 *     node scripts/bootstrap.mjs troupe [command] [options]        the same, with its own commands (scripts/troupe.mjs)
 *     node scripts/bootstrap.mjs <file.ts> [arguments]             any other entry point, e.g. test/run.ts
 *
 * 1. checks what cannot be installed (platform, C library, npm) and says what to do instead;
 * 2. installs when node_modules is absent or not what package-lock.json says, otherwise costs some milliseconds;
 * 3. runs the command with the Node 24 that is one of the packages, hands signals on and ends with its exit code.
 *
 * Plain JavaScript on purpose: the machine's own Node, which cannot strip types, runs this file.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = join(root, 'node_modules', '.bin');
const node = join(bin, 'node');
const lockFile = join(root, 'package-lock.json');
const stampFile = join(root, 'node_modules', '.troupe-stamp');

const COMMANDS = {
  demo: ['src/main.ts', 'demo'],
  start: ['src/main.ts', 'run'],
  migrate: ['src/main.ts', '--migrate'],
  troupe: ['src/main.ts'],
};
const NODE_MAJOR = 24;
/** The same signal again within this time is one key press, delivered by the terminal and once more by npm. */
const SIGNAL_ECHO_MS = 500;

await main(process.argv.slice(2));

async function main([command, ...rest]) {
  if (command === undefined || !(command in COMMANDS || command.endsWith('.ts'))) {
    fail(`Usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join('|')}|<file.ts> [arguments]`);
  }
  const problem = machineProblem();
  if (problem !== undefined) fail(problem);

  const stamp = stampOf(lockFile);
  if (!isInstalled(stamp)) await install(stamp);
  assertNode();
  run([...(['start', 'troupe'].includes(command) ? serviceFlags() : []), ...(COMMANDS[command] ?? [command]), ...rest]);
}

/**
 * Flags of node for the service. An event lives for a block's time: a new space that holds what is in flight lets most of it die there,
 * where a smaller one copies it twice; and what V8 places among the old for once having lived long keeps alive what it points to
 * (test/bench/README.md). NODE_OPTIONS that say something about the new space go first.
 */
function serviceFlags() {
  const { serviceFlags: flags } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).config;
  const isOwnSpace = /semi-space/.test((process.env.NODE_OPTIONS ?? '').replaceAll('_', '-'));
  return isOwnSpace ? flags.filter((flag) => !flag.includes('semi-space')) : flags;
}

/** Says what this machine lacks that no package can bring, or undefined. */
function machineProblem() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 20)) {
    return `Node ${process.version} is too old to install with: Troupe needs Node 20.20 or newer (it brings its own Node ${NODE_MAJOR} to run on).`;
  }
  if (process.platform === 'win32')
    return 'Windows is not supported directly. Run Troupe in WSL 2 (https://learn.microsoft.com/windows/wsl).';
  if (!['linux', 'darwin'].includes(process.platform)) return `Troupe runs on Linux and macOS, and this is ${process.platform}.`;
  if (!['x64', 'arm64'].includes(process.arch)) return `Troupe runs on x64 and arm64, and this is ${process.arch}.`;
  if (process.platform === 'linux' && process.report.getReport().header.glibcVersionRuntime === undefined) {
    return 'This Linux uses musl (Alpine?). The embedded ClickHouse and PostgreSQL are built for glibc: use a Debian, Ubuntu or Fedora machine or image.';
  }
  if (!existsSync(lockFile)) return `${lockFile} is missing: is this a complete checkout?`;
  return undefined;
}

/** What node_modules was made from: the lock file, for this platform. */
function stampOf(file) {
  return createHash('sha256').update(readFileSync(file)).update(`${process.platform}-${process.arch}`).digest('hex');
}

function isInstalled(stamp) {
  if (!existsSync(node)) return false;
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return true;
  // Perhaps somebody ran `npm install` or `npm ci` by hand. npm keeps its own account of what it installed: compare, then stamp.
  const hidden = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(hidden)) return false;
  const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages;
  const inStep = Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || present[path]?.version === version || (optional === true && present[path] === undefined),
  );
  if (inStep) writeFileSync(stampFile, stamp);
  return inStep;
}

/**
 * Two steps, so that it works with every npm: install without any package's scripts, then run the scripts of exactly the
 * packages that need them (package.json "allowScripts", which npm before 11 does not read and would run all of them).
 */
async function install(stamp) {
  const allowed = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).allowScripts;
  const lock = JSON.parse(readFileSync(lockFile, 'utf8')).packages;
  const forThisMachine = (name) => {
    const entry = lock[`node_modules/${name}`];
    return (entry?.os ?? [process.platform]).includes(process.platform) && (entry?.cpu ?? [process.arch]).includes(process.arch);
  };
  const needScripts = Object.keys(allowed).filter((name) => allowed[name] === true && forThisMachine(name));

  const progress = startProgress('Installing packages (once; a minute or two, 1.1 GB)');
  await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], progress);
  await npm(['rebuild', '--ignore-scripts=false', '--loglevel=error', ...needScripts], progress);
  writeFileSync(stampFile, stamp);
  progress.end('done');
}

/** Runs npm quietly; when it fails, shows all it said and ends. */
async function npm(args, progress) {
  const env = { ...process.env, PATH: pathWithoutOwnBin() };
  // We may run below `npm test`, whose lifecycle variables point into the node_modules that is about to be replaced.
  for (const name of Object.keys(env)) if (/^npm_(?!config_)/.test(name)) delete env[name];
  const child = spawn('npm', args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await new Promise((resolve) => {
    child.on(
      'error',
      (error) => ((said += error.code === 'ENOENT' ? 'npm is not on the PATH: install it with Node.js.' : String(error)), resolve(1)),
    );
    child.on('close', resolve);
  });
  if (code === 0) return;
  progress.end('failed');
  fail(`npm ${args.join(' ')}\n${said.trim()}`);
}

function pathWithoutOwnBin() {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== bin)
    .join(delimiter);
}

/** One line, kept alive on a terminal by the seconds it took so far. */
function startProgress(text) {
  const startedMs = Date.now();
  const seconds = () => Math.round((Date.now() - startedMs) / 1000);
  if (!process.stderr.isTTY) {
    process.stderr.write(`${text} ...\n`);
    return { end: (how) => process.stderr.write(`Installing packages: ${how} in ${seconds()} s\n`) };
  }
  const timer = setInterval(() => process.stderr.write(`\r${text} ... ${seconds()} s`), 1000);
  process.stderr.write(`${text} ...`);
  return {
    end(how) {
      clearInterval(timer);
      process.stderr.write(`\r${text} ... ${how} in ${seconds()} s\n`);
    },
  };
}

/** Without its install script the package `node` has no binary, and everything would run on the machine's Node in silence. */
function assertNode() {
  const { stdout, error } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  const version = stdout?.trim() ?? '';
  if (version.startsWith(`v${NODE_MAJOR}.`)) return;
  fail(
    `node_modules/.bin/node should be Node ${NODE_MAJOR} and ${error === undefined ? `is ${version}` : `does not run (${error.message})`}.\n` +
      'Delete node_modules and run this again.',
  );
}

/**
 * Becomes the command as nearly as a parent can. On a terminal the child gets a process group of its own, so that Ctrl-C
 * reaches it once, from here: a second signal means "stop draining and end now" to src/main.ts.
 */
function run(args) {
  const child = spawn(node, args, {
    cwd: root,
    stdio: 'inherit',
    detached: process.stdin.isTTY === true,
    env: { ...process.env, PATH: `${bin}${delimiter}${pathWithoutOwnBin()}` },
  });
  const lastMs = {};
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    process.on(signal, () => {
      const nowMs = Date.now();
      if (nowMs - (lastMs[signal] ?? -Infinity) > SIGNAL_ECHO_MS) child.kill(signal);
      lastMs[signal] = nowMs;
    });
  }
  child.on('error', (error) => fail(String(error)));
  child.on('close', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
