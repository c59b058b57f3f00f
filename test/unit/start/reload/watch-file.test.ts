import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../../src/runtime/clock.ts';
import { watchFile, type WatchFileOptions } from '../../../../src/start/reload/watch-file.ts';

/** The machine may be busy. */
const PATIENT = { timeout: 10_000, interval: 2 };

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'troupe-watch-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}
function watching(path: string, options: Partial<WatchFileOptions> = {}) {
  const told = { count: 0 };
  const watch = watchFile({ path, clock: systemClock, onChange: () => told.count++, settleMs: 30, pollMs: 60_000, ...options });
  onTestFinished(() => watch.close());
  return { told, watch };
}
const change = (told: { readonly count: number }, count: number) => expect.poll(() => told.count, PATIENT).toBe(count);

it('tells once of a file that is written in several steps', async () => {
  const path = join(await folder(), 'f.yaml');
  await writeFile(path, 'a');
  const { told } = watching(path, { settleMs: 250 });
  for (const text of ['', 'b', 'bc']) await writeFile(path, text);
  await change(told, 1);
  await writeFile(path, 'd');
  await change(told, 2);
});

it('tells of a file that another one is renamed to, as editors do, more than once', async () => {
  const dir = await folder();
  const path = join(dir, 'f.yaml');
  await writeFile(path, 'a');
  const { told } = watching(path);
  for (const n of [1, 2]) {
    await writeFile(join(dir, 'f.yaml.tmp'), `version ${n}`);
    await rename(join(dir, 'f.yaml.tmp'), path);
    await change(told, n);
  }
});

it('tells of a link that is turned, as Kubernetes does with a ConfigMap', async () => {
  const dir = await folder();
  for (const version of ['..1', '..2']) {
    await mkdir(join(dir, version));
    await writeFile(join(dir, version, 'f.yaml'), version);
  }
  await symlink('..1', join(dir, '..data'));
  await symlink(join('..data', 'f.yaml'), join(dir, 'f.yaml'));
  const { told } = watching(join(dir, 'f.yaml'));
  await symlink('..2', join(dir, '..data_tmp'));
  await rename(join(dir, '..data_tmp'), join(dir, '..data'));
  await change(told, 1);
});

it('tells of a file that goes, and of one that comes', async () => {
  const path = join(await folder(), 'f.yaml');
  await writeFile(path, 'a');
  const { told } = watching(path);
  await rm(path);
  await change(told, 1);
  await writeFile(path, 'b');
  await change(told, 2);
});

it('tells nothing when only the time of a file is new, or another file is written', async () => {
  const dir = await folder();
  const path = join(dir, 'f.yaml');
  await writeFile(path, 'a');
  const { told } = watching(path);
  await writeFile(path, 'a');
  await writeFile(join(dir, 'other.yaml'), 'b');
  await writeFile(path, 'c'); // what is told is told in order: one change, the last
  await change(told, 1);
});

it('looks now and then, where the file system tells nothing of changes', async () => {
  const dir = await folder();
  const elsewhere = join(await folder(), 'f.yaml');
  await writeFile(elsewhere, 'a');
  await symlink(elsewhere, join(dir, 'f.yaml')); // its folder does not change when the file does
  const { told } = watching(join(dir, 'f.yaml'), { pollMs: 20 });
  await writeFile(elsewhere, 'b');
  await change(told, 1);
});

it('a folder that comes later is watched from then on', async () => {
  const dir = join(await folder(), 'later');
  const { told } = watching(join(dir, 'f.yaml'), { pollMs: 20 });
  await mkdir(dir);
  await writeFile(join(dir, 'f.yaml'), 'a');
  await change(told, 1);
});

it('tells nothing after it was closed', async () => {
  const path = join(await folder(), 'f.yaml');
  await writeFile(path, 'a');
  const closed = watching(path);
  const open = watching(path);
  closed.watch.close();
  await writeFile(path, 'b');
  await change(open.told, 1);
  expect(closed.told.count).toBe(0);
});
