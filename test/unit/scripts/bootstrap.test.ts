import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const scripts = join(import.meta.dirname, '../../../scripts');
const packages = { '': {}, 'node_modules/a': { version: '1.0.0' }, 'node_modules/b-win32': { version: '1.0.0', optional: true } };

let root: string;
/** A checkout of two packages, with npm replaced by a script that notes its arguments and fails. */
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'troupe-bootstrap-'));
  for (const folder of ['scripts', 'bin', 'node_modules/.bin']) mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(join(scripts, 'bootstrap.mjs'), join(root, 'scripts/bootstrap.mjs'));
  writeJson('package.json', { type: 'module', allowScripts: { node: true, other: false } });
  writeJson('package-lock.json', { packages });
  symlinkSync(process.execPath, join(root, 'node_modules/.bin/node'));
  writeFileSync(join(root, 'bin/npm'), '#!/bin/sh\necho "$@" >> npm-calls\necho no network here >&2\nexit 1\n');
  chmodSync(join(root, 'bin/npm'), 0o755);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const writeJson = (path: string, value: unknown): void => writeFileSync(join(root, path), JSON.stringify(value));
const env = (): NodeJS.ProcessEnv => ({ ...process.env, PATH: `${join(root, 'bin')}:${process.env['PATH'] ?? ''}` });
const bootstrap = (...args: string[]) =>
  spawnSync(process.execPath, ['scripts/bootstrap.mjs', ...args], { cwd: root, env: env(), encoding: 'utf8' });
const npmCalls = (): string => (existsSync(join(root, 'npm-calls')) ? readFileSync(join(root, 'npm-calls'), 'utf8') : '');
const installed = (present: unknown): void => writeJson('node_modules/.package-lock.json', { packages: present });

describe('bootstrap', () => {
  it('runs a file with the Node of the packages, hands on arguments and the exit code, and installs nothing that is in step', () => {
    installed({ 'node_modules/a': { version: '1.0.0' } });
    writeFileSync(join(root, 'hello.ts'), `const code: number = 7; console.log(process.argv.slice(2).join()); process.exit(code);`);
    const { status, stdout } = bootstrap('hello.ts', 'x', '--y');
    expect(stdout).toBe('x,--y\n');
    expect(status).toBe(7);
    expect(npmCalls()).toBe('');
    expect(existsSync(join(root, 'node_modules/.troupe-stamp'))).toBe(true);
  });

  it('knows the commands of the program', () => {
    installed({ 'node_modules/a': { version: '1.0.0' } });
    mkdirSync(join(root, 'src'));
    writeFileSync(join(root, 'src/main.ts'), `console.log(process.argv.slice(2).join(' '));`);
    expect(bootstrap('demo', '--exit').stdout).toBe('demo --exit\n');
    expect(bootstrap('migrate').stdout).toBe('--migrate\n');
    expect(bootstrap('nonsense').status).toBe(1);
  });

  it('starts the service with the flags of package.json, but for those of the new space when NODE_OPTIONS say something about it', () => {
    installed({ 'node_modules/a': { version: '1.0.0' } });
    writeJson('package.json', { type: 'module', allowScripts: {}, config: { serviceFlags: ['--max-semi-space-size=3', '--no-opt'] } });
    mkdirSync(join(root, 'src'));
    writeFileSync(join(root, 'src/main.ts'), `console.log([...process.execArgv, ...process.argv.slice(2)].join(' '));`);
    expect(bootstrap('start').stdout).toBe('--max-semi-space-size=3 --no-opt run\n');
    expect(bootstrap('demo').stdout).toBe('demo\n');
    expect(bootstrap('troupe', 'spill', 'list').stdout).toBe('--max-semi-space-size=3 --no-opt spill list\n');
    copyFileSync(join(scripts, 'troupe.mjs'), join(root, 'scripts/troupe.mjs'));
    const named = spawnSync(process.execPath, ['scripts/troupe.mjs', '--help'], { cwd: root, env: env(), encoding: 'utf8' });
    expect(named.stdout).toBe('--max-semi-space-size=3 --no-opt --help\n');
    const own = { ...env(), NODE_OPTIONS: '--max-semi-space-size=5' };
    const started = spawnSync(process.execPath, ['scripts/bootstrap.mjs', 'start'], { cwd: root, env: own, encoding: 'utf8' });
    expect(started.stdout).toBe('--no-opt run\n');
  });

  it('installs when a package is not the one of the lock file, and shows what npm said when that fails', () => {
    installed({ 'node_modules/a': { version: '0.9.0' } });
    const { status, stderr } = bootstrap('hello.ts');
    expect(status).toBe(1);
    expect(npmCalls()).toContain('ci --ignore-scripts');
    expect(stderr).toContain('no network here');
  });

  it('installs again after the lock file changed', () => {
    installed({ 'node_modules/a': { version: '1.0.0' } });
    writeFileSync(join(root, 'hello.ts'), '');
    expect(bootstrap('hello.ts').status).toBe(0);
    writeJson('package-lock.json', { packages: { ...packages, 'node_modules/c': { version: '1.0.0' } } });
    expect(bootstrap('hello.ts').status).toBe(1);
    expect(npmCalls()).not.toBe('');
  });

  it('hands on a signal once, although the terminal and npm both deliver it', async () => {
    installed({ 'node_modules/a': { version: '1.0.0' } });
    writeFileSync(
      join(root, 'wait.ts'),
      `let count = 0; process.on('SIGTERM', () => { count++; setTimeout(() => process.exit(40 + count), 200); }); setInterval(() => {}, 1000); console.log('ready');`,
    );
    const child = spawn(process.execPath, ['scripts/bootstrap.mjs', 'wait.ts'], { cwd: root, env: env() });
    await said(child, 'ready');
    child.kill('SIGTERM');
    child.kill('SIGTERM');
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(41);
  });
});

const said = (child: ChildProcess, text: string): Promise<void> =>
  new Promise((resolve) => child.stdout?.on('data', (chunk: Buffer) => chunk.toString().includes(text) && resolve()));

describe('lock-chdb', () => {
  const repair = (file: string) => spawnSync(process.execPath, [join(scripts, 'lock-chdb.mjs'), file], { encoding: 'utf8' });

  it('adds the platform packages a registry lacked, once', () => {
    const file = join(root, 'package-lock.json');
    const optionalDependencies = { '@chdb/lib-darwin-arm64': '26.7.3', '@chdb/lib-linux-x64-gnu': '26.7.3' };
    writeJson('package-lock.json', {
      packages: { '': {}, 'node_modules/chdb': { optionalDependencies }, 'node_modules/@chdb/lib-linux-x64-gnu': { version: '26.7.3' } },
    });
    expect(repair(file).stdout).toContain('added @chdb/lib-darwin-arm64');
    const once = readFileSync(file, 'utf8');
    expect(JSON.parse(once)).toMatchObject({
      packages: { 'node_modules/@chdb/lib-darwin-arm64': { version: '26.7.3', os: ['darwin'], cpu: ['arm64'], optional: true } },
    });
    expect(repair(file).stdout).toContain('complete');
    expect(readFileSync(file, 'utf8')).toBe(once);
  });

  it('has nothing to add to the lock file of this repository (run it after each change of the lock)', () => {
    const copy = join(root, 'copy.json');
    copyFileSync(join(scripts, '../package-lock.json'), copy);
    expect(repair(copy).stdout).toContain('complete');
  });
});
