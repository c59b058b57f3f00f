import { fork } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { CATASTROPHE_MARK, type ChildLimits, type FromSandbox, type ToSandbox } from './protocol.ts';

/** The child process: started with as few rights as Node can be told to give it, ended only by SIGKILL. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process is gone and its last words are read. */
  readonly ended: Promise<void>;
  /** Does nothing when the child is gone; the caller learns of that by `onEnd`. */
  send(message: ToSandbox): void;
  kill(): void;
}

interface ChildEvents {
  readonly onMessage: (message: FromSandbox) => void;
  /** Called once. `culprit` is the isolate that the child named in its last words, if it did. */
  readonly onEnd: (reason: string, culprit: number | undefined) => void;
}

/**
 * Forks `child.ts` with an empty environment, no standard input, and Node's permission model: no file but its own
 * modules, no processes, no threads. (That model is a second fence; isolated-vm, an addon, is not held by it.)
 * @throws Error when the system refuses a process.
 */
export function spawnChild(limits: ChildLimits, events: ChildEvents): Child {
  const own = import.meta.filename;
  const child = fork(join(dirname(own), `child${extname(own)}`), [JSON.stringify(limits)], {
    serialization: 'advanced', // 1.5 times the events per second of the JSON channel (docs/measured.md)
    env: { TZ: 'UTC' },
    execArgv: [
      '--no-node-snapshot',
      '--max-old-space-size=256',
      '--disable-warning=SecurityWarning',
      '--disable-warning=ExperimentalWarning',
      ...permissions(),
    ],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const { pid } = child;
  if (pid === undefined) throw new Error('the sandbox process could not be started');

  let lastWords = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-4096);
  });
  child.on('message', (message) => events.onMessage(message as FromSandbox));
  // a send to a child that just died fails; `close` follows and tells everybody
  child.on('error', () => undefined);
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  child.on('close', (code, signal) => {
    const named = new RegExp(`${CATASTROPHE_MARK} (\\d+) (.*)`).exec(lastWords);
    const how = signal ?? `exit code ${code}`;
    if (named === null) events.onEnd(lastWords.trim() === '' ? how : `${how}: ${lastWords.trim().slice(-300)}`, undefined);
    else events.onEnd(`${how}: ${named[2] ?? ''}`, Number(named[1]));
    resolve();
  });
  return {
    pid,
    ended,
    send(message) {
      if (child.connected) child.send(message, () => undefined);
    },
    kill() {
      child.kill('SIGKILL');
    },
  };
}

/** Read rights for the child's own modules and the addon, and nothing else. */
function permissions(): readonly string[] {
  const here = dirname(import.meta.filename);
  const root = join(here, '..', '..');
  const require = createRequire(import.meta.url);
  const addon = dirname(require.resolve('isolated-vm'));
  const loader = dirname(createRequire(join(addon, 'package.json')).resolve('node-gyp-build'));
  const manifests = [join(here, 'package.json'), join(root, 'src', 'package.json'), join(root, 'package.json')];
  // where node_modules is a link (a second worktree), Node has to read the link itself to find the addon behind it
  const modules = join(root, 'node_modules');
  const linked = lstatSync(modules, { throwIfNoEntry: false })?.isSymbolicLink() === true ? [modules] : [];
  // node-gyp-build looks at /etc/alpine-release to tell musl from glibc
  const readable = [here, addon, loader, ...linked, ...manifests, '/etc/alpine-release'];
  return ['--permission', '--allow-addons', ...new Set(readable.map((path) => `--allow-fs-read=${path}`))];
}
