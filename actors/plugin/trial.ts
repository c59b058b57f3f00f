import type { InvocationResult, PluginSource, Sandbox } from '../../src/sandbox/port.ts';
import type { BatchEnd, Invocation } from './state.ts';

/** The code does not load, or has no processEvent: no batch of it can run. */
export class RefusedError extends Error {}

/**
 * Runs one batch: loads the isolate first when it is not. The promise never rejects; whatever went wrong is `error`.
 * The events are not changed: the sandbox works on their text.
 */
export function createTrial(deps: { readonly sandbox: Sandbox; readonly plugin: PluginSource; readonly deadlineMs: number }) {
  const { sandbox, plugin, deadlineMs } = deps;
  return async function trial(isolateId: number, loaded: boolean, batch: number, invocations: readonly Invocation[]): Promise<BatchEnd> {
    try {
      if (!loaded) await load(isolateId);
      const results: readonly InvocationResult[] = await sandbox.invoke(
        isolateId,
        invocations.map(({ event }) => event),
        deadlineMs,
      );
      return { batch, error: undefined, results };
    } catch (error) {
      return { batch, error: error ?? new Error('unknown'), results: [] };
    }
  };

  async function load(isolateId: number): Promise<void> {
    const loaded = await sandbox.load({ ...plugin, isolateId });
    if (loaded.type === 'refused') throw new RefusedError(loaded.message);
    if (!loaded.methods.includes('processEvent') && !loaded.methods.includes('processEventBatch'))
      throw new RefusedError('the plugin has no processEvent');
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
