import type { Log } from '../../telemetry/log.ts';
import type { ReloadCause } from '../reload/reloader.ts';

/** What the primary says to a worker. */
export type ToWorker =
  /** First of all: which of the workers it is, from 1. A worker that is started again is given the number of the one that died. */
  | { readonly type: 'begin'; readonly slot: number }
  | { readonly type: 'ask'; readonly id: number; readonly what: 'ready' | 'metrics' }
  /** Read the settings again: the primary has, and found nothing wrong. */
  | { readonly type: 'reload'; readonly cause: ReloadCause }
  | { readonly type: 'log-level'; readonly level: ReturnType<Log['level']> }
  /** Drain, and end. */
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'started'; readonly url: string }
  /** `text` is the metrics, or empty for not ready. */
  | { readonly type: 'answer'; readonly id: number; readonly text: string };

/** One worker, as the primary holds it; a real process, or a test's stand-in. */
export interface WorkerProcess {
  readonly pid: number;
  /** Is ignored by one that has ended. */
  readonly send: (message: ToWorker) => void;
  readonly kill: () => void;
}

export interface WorkerEvents {
  readonly heard: (message: FromWorker) => void;
  /** Once, and last. */
  readonly ended: (code: number | null, signal: string | null) => void;
}

/** Starts a worker. Events come after it has returned. */
export type Fork = (slot: number, events: WorkerEvents) => WorkerProcess;
