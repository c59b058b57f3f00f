import cluster from 'node:cluster';
import type { Config } from '../../config/schema.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Reloader } from '../reload/reloader.ts';
import type { FromWorker, ToWorker } from './protocol.ts';

/** The worker's side: what it is told by the primary, and what it answers. */
export interface Post {
  readonly slot: number;
  /** Resolves when the primary says so, or is gone: then nobody would start us again or say when to stop. */
  readonly stopped: Promise<void>;
  /** Everything is open: from now on questions are answered, and reloads passed on. */
  serve(answers: PostAnswers): void;
}

export interface PostAnswers {
  readonly url: string;
  readonly isReady: () => Promise<boolean>;
  readonly metrics: () => Promise<string>;
  readonly reloader: Pick<Reloader, 'reload'>;
  readonly log: Pick<Log, 'setLevel'>;
}

/** What of a worker process is used. */
export interface WorkerSelf {
  on(event: 'message', listener: (message: ToWorker) => void): unknown;
  on(event: 'disconnect' | NodeJS.Signals, listener: () => void): unknown;
  send?(message: FromWorker): unknown;
  exit(code: number): void;
}

/** Resolves when the primary has said which worker this is. */
export function reportForDuty(self: WorkerSelf): Promise<Post> {
  // Without it Node ends a worker at once when the primary is gone, with all that is in work.
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true;
  // A terminal signals all processes of a group; the primary says what comes of it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) self.on(signal, () => undefined);
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  let answers: PostAnswers | undefined;
  const say = (message: FromWorker): void => void self.send?.(message);

  async function answer(id: number, what: 'ready' | 'metrics'): Promise<void> {
    if (answers === undefined) return say({ type: 'answer', id, text: '' });
    say({ type: 'answer', id, text: what === 'metrics' ? await answers.metrics() : (await answers.isReady()) ? 'ready' : '' });
  }

  return new Promise((resolve) => {
    // Before it serves nothing is in work, and what it waits for (the shared socket) comes from the primary.
    self.on('disconnect', () => (answers === undefined ? self.exit(1) : stop()));
    self.on('message', (message) => {
      switch (message.type) {
        case 'begin':
          return resolve({
            slot: message.slot,
            stopped,
            serve(given) {
              answers = given;
              say({ type: 'started', url: given.url });
            },
          });
        case 'ask':
          return void answer(message.id, message.what);
        case 'reload':
          return void answers?.reloader.reload(message.cause);
        case 'log-level':
          return answers?.log.setLevel(message.level);
        case 'stop':
          return stop();
      }
    });
  });
}

/** The settings of a worker: its own name in the spill and at the brokers, no servers of its own besides capture. */
export function configOfWorker(config: Config, slot: number): Config {
  const { capture, kafka } = config;
  return {
    ...config,
    capture: { ...capture, spillInstance: `${capture.spillInstance ?? ''}-w${slot}` },
    kafka: { ...kafka, clientId: `${kafka.clientId ?? ''}-w${slot}` },
  };
}

/** How many workers TROUPE_CAPTURE_WORKERS asks for: `auto` is one per core. */
export function workerCount({ capture }: Pick<Config, 'capture'>, coreCount: number): number {
  return capture.workers === 'auto' ? coreCount : Number(capture.workers);
}
