import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { requireService } from '../../services/availability.ts';
import { sweepLeftBehind } from '../../services/left-behind.ts';
import { freePorts } from '../../services/ports.ts';

const module = join(import.meta.dirname, '../../services/left-behind.ts');
/** A test process that starts a server, registers it, says its process id, and waits to be killed. */
const OWNER = `
  import { spawn } from 'node:child_process';
  import { registerServer } from ${JSON.stringify(module)};
  const server = spawn('sleep', ['60'], { stdio: 'ignore' });
  registerServer('sleeper', server.pid, process.argv[1]);
  console.log(server.pid);
  setInterval(() => {}, 1000);
`;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

it('ends a server only when the test process that started it is gone, and removes its folder', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'left-behind-'));
  const owner = spawn(process.execPath, ['--input-type=module', '-e', OWNER, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const server = Number(await new Promise((resolve) => owner.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))));
  sweepLeftBehind();
  expect(isAlive(server)).toBe(true);
  expect(existsSync(dir)).toBe(true);
  const gone = new Promise((resolve) => owner.once('exit', resolve));
  owner.kill('SIGKILL');
  await gone;
  expect(sweepLeftBehind()).toContain(`sleeper (process ${server})`);
  await until(() => !isAlive(server));
  expect(existsSync(dir)).toBe(false);
  expect(sweepLeftBehind().filter((name) => name.startsWith('sleeper'))).toEqual([]);
  await rm(dir, { recursive: true, force: true });
});

it('gives distinct ports below the ephemeral range', async () => {
  const ports = await freePorts(20);
  expect(new Set(ports).size).toBe(20);
  for (const port of ports) expect(port).toBeLessThan(32_768);
});

it('makes a missing service an error when CI=true', async () => {
  const before = process.env['CI'];
  process.env['CI'] = 'true';
  try {
    await expect(requireService('nothing', () => Promise.reject(new Error('not installed')))).rejects.toThrow(
      'nothing must be available when CI=true: not installed',
    );
    expect(await requireService('something', () => Promise.resolve())).toEqual({ available: true });
  } finally {
    if (before === undefined) delete process.env['CI'];
    else process.env['CI'] = before;
  }
});
