import { state as stateFact } from '../src/observe/facts.ts';
import type { Clock } from '../src/runtime/clock.ts';
import type { ActorSystem } from '../src/runtime/system.ts';
import type { Intakes } from './intakes.ts';
import type { Plugins } from './plugins.ts';
import type { ShutdownLimits } from './settings.ts';
import type { Writers } from './writers.ts';

/**
 * stop-intakes → drain-routers → unload-plugins, flush-writers → commit → stop-actors. A phase that fails or takes too long is named, and
 * the next one runs: nothing is lost by it, because what is not committed comes again.
 */
export async function runPhases(
  clock: Clock,
  limits: ShutdownLimits,
  tree: { readonly system: ActorSystem; readonly writers: Writers; readonly plugins: Plugins; readonly intakes: Intakes },
): Promise<void> {
  await phase(clock, 'drain', limits.drainMs, tree.intakes.stop(limits.drainMs));
  await phase(clock, 'flush', limits.flushMs, flush(limits.flushMs, tree));
  await phase(clock, 'stop', limits.stopMs, tree.system.shutdown(limits.stopMs));
}

/** What plugins say at their end is still written: they have a quarter of the time, the writers the rest. */
async function flush(limitMs: number, { plugins, writers }: { readonly plugins: Plugins; readonly writers: Writers }): Promise<void> {
  await plugins.unload(limitMs / 4);
  await writers.drain((limitMs * 3) / 4);
}

async function phase(clock: Clock, name: string, limitMs: number, work: Promise<void>): Promise<void> {
  const startedMs = clock.monotonic();
  // The work's own limit comes first; this one is for work that does not keep it.
  const graceMs = limitMs + 1_000;
  const late = Promise.withResolvers<'late'>();
  const timer = clock.after(graceMs, () => late.resolve('late'));
  const ended = await Promise.race([
    work.then(
      () => 'done' as const,
      (error: unknown) => (error instanceof Error ? error : new Error('not an Error was thrown')),
    ),
    late.promise,
  ]);
  timer.cancel();
  if (ended === 'done') return;
  const fields = {
    phase: name,
    durationMs: Math.round(clock.monotonic() - startedMs),
    error: ended === 'late' ? `not done after ${graceMs} ms` : ended.message,
  };
  stateFact('log-written', {
    level: 'warn',
    message: 'A phase of the shutdown did not end well; what it left comes again from Kafka.',
    fields,
  });
}
