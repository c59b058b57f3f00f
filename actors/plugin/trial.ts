import { state as stateFact } from '../../src/observe/facts.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { InvocationResult, PluginFault, Sandbox } from '../../src/sandbox/port.ts';
import type { Reports, RunnablePlugin } from './reports.ts';
import type { BatchEnd, Invocation } from './state.ts';

/** The code does not load, or has no processEvent: no batch of it can run. */
export class RefusedError extends Error {
  /** What setupPlugin threw, when it was that. */
  readonly setupFault: PluginFault | undefined;
  /** True for a plugin of another kind (onEvent, jobs): nothing is wrong with it, and nothing to run (V-7). */
  readonly isInert: boolean;
  constructor(message: string, why: { readonly setupFault?: PluginFault | undefined; readonly isInert?: boolean } = {}) {
    super(message);
    this.setupFault = why.setupFault;
    this.isInert = why.isInert ?? false;
  }
}

const NO_CALLS = { succeeded: 0, failed: 0 } as const;

/**
 * Runs one batch: loads the isolate first when it is not. The promise never rejects; whatever went wrong is `error`.
 * The events are not changed: the sandbox works on their text. No events: it only loads.
 */
export function createTrial(deps: {
  readonly sandbox: Sandbox;
  readonly clock: Clock;
  readonly plugin: RunnablePlugin;
  readonly reports: Reports;
  readonly deadlineMs: number;
}) {
  const { sandbox, clock, plugin, reports, deadlineMs } = deps;
  const { pluginId } = plugin;
  /** Of the batch in flight: there is one at a time (G3). */
  let callsMs: BatchEnd['callsMs'] = NO_CALLS;
  const listener = {
    ...reports.listener,
    callsTimed: (succeeded: number, failed: number): void => void (callsMs = { succeeded, failed }),
  };
  return async function trial(isolateId: number, loaded: boolean, batch: number, invocations: readonly Invocation[]): Promise<BatchEnd> {
    callsMs = NO_CALLS;
    try {
      if (!loaded) await load(isolateId);
      if (invocations.length === 0) return { batch, error: undefined, results: [], callsMs };
      const results: readonly InvocationResult[] = await sandbox.invoke(
        isolateId,
        invocations.map(({ event }) => event),
        deadlineMs,
      );
      return { batch, error: undefined, results, callsMs };
    } catch (error) {
      return { batch, error: error ?? new Error('unknown'), results: [], callsMs: NO_CALLS };
    }
  };

  async function load(isolateId: number): Promise<void> {
    const startedMs = clock.monotonic();
    const loaded = await sandbox.load({ ...plugin, isolateId }, listener);
    const setupMs = loaded.type === 'loaded' ? loaded.setupMs : loaded.setup?.setupMs;
    const loadMs = clock.monotonic() - startedMs - (setupMs ?? 0);
    const imports = loaded.type === 'loaded' ? (loaded.imports ?? []) : [];
    stateFact('plugin-loaded', { pluginId, ok: loaded.type === 'loaded', loadMs: Math.max(0, loadMs), setupMs, imports });
    if (loaded.type === 'refused') throw new RefusedError(loaded.message, { setupFault: loaded.setup?.fault });
    reports.loaded(setupMs !== undefined);
    if (!loaded.methods.includes('processEvent') && !loaded.methods.includes('processEventBatch'))
      throw new RefusedError('the plugin has no processEvent', { isInert: true });
  }
}

/**
 * What an error says of the plugin whose batch it ended:
 * - `none`: there is no error;
 * - `refused`: the code cannot run at all;
 * - `mishap`: the isolate was gone, or somebody else took the child down;
 * - `offence`: its own code had to be stopped by force;
 * - `dead`: the child died and nobody knows of whom: a suspicion, not an offence;
 * - `broken`: the batch could not even be handed over; the isolate is as it was.
 */
export type Verdict = 'none' | 'refused' | 'mishap' | 'offence' | 'dead' | 'broken';

export function judge(error: unknown, isolateId: number): Verdict {
  if (error === undefined) return 'none';
  if (error instanceof RefusedError) return 'refused';
  if (!isSandboxError(error)) return 'broken';
  if (error.code === 'not-loaded') return 'mishap';
  if (error.culprit === undefined) return error.code === 'deadline' ? 'offence' : 'dead';
  return error.culprit === isolateId ? 'offence' : 'mishap';
}

/** By shape: an actor knows ports as types only. */
const isSandboxError = (error: unknown): error is { readonly code: 'deadline' | 'died' | 'not-loaded'; readonly culprit?: number } =>
  error instanceof Error && error.name === 'SandboxError' && 'code' in error;
