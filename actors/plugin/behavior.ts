/**
 * One enabled plugin config: takes events of many distinct_ids, runs them through its isolate in batches, answers each.
 *
 *            invoke                 linger over, or batch full            batch ended
 *   idle ─────────────▶ lingering ──────────────────────────▶ in flight ──────────────▶ idle | in flight (what came meanwhile)
 *                                                               │ ended by force, or broken
 *                                                               ▼
 *                                                    suspects, each in flight ALONE ──▶ in flight (the queue)
 *                                                               │ budget of offences spent, or the code does not load
 *                                                               ▼
 *                                                          quarantined ── until passed, at the next invoke ──▶ idle
 *
 * Invariants
 * G1 every invocation is answered exactly once: also after deadlines, deaths of the sandbox, a crash of this actor, its stop.
 * G2 answers come in the order of the tells (outbox.ts).
 * G3 at most one batch is in flight; a batch holds at most `batchCount` events.
 * G4 a batch that was stopped by force is run again event by event, ONCE each; an event that is stopped alone is `failed`.
 * G5 an end that is known to be another plugin's doing costs no event its result and this plugin no offence.
 * G6 offences are counted in a window; one more than the budget quarantines the plugin until a stated time, and from then on
 *    whatever waits and whatever comes is answered `quarantined` at once.
 * G7 a plugin cannot change team_id (PE-2); a throw keeps the mutations made before it (PE-3); a falsy result drops (L-5; runs.ts).
 * G8 every run is told to the journal once, as success or failure (PE-7), unless it is answered by a crash or a quarantine.
 *
 * `receive` is synchronous and does not throw: what the sandbox does arrives as a message. What waits here is bounded by the
 * routers' credit, since each event is an event in flight. The state is changed in place: a batch touches it a hundred times.
 */
import { messageOf } from '../../src/domain/strings.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec, StopReason } from '../../src/runtime/actor.ts';
import { sleep } from '../../src/runtime/patience.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
import type { FailedRun } from '../plugin-journal/messages.ts';
import type { PluginMessage } from './messages.ts';
import type { PluginDeps } from './options.ts';
import { answer, tellOutbox } from './outbox.ts';
import { createReports } from './reports.ts';
import { failedRun, faultOf, guarded } from './runs.ts';
import { freshState, type BatchEnd, type Flight, type Invocation, type PluginState } from './state.ts';
import { createTrial, judge, RefusedError } from './trial.ts';

type Ctx = ActorContext<PluginMessage>;

/** A batch that others spoil so often is given up (G5 without end would hold a distinct_id for ever). */
const MISHAP_COUNT = 5;
const ANSWERS_AGAIN_MS = 5;
/** Isolates are named by life, so that an old version of a config answers what it took beside the new one. */
let isolates = 0;

export function createPlugin(deps: PluginDeps): ActorSpec<PluginState, PluginMessage> {
  const { clock, plugin, sandbox, options } = deps;
  const { pluginId, pluginConfigId } = plugin;
  const reports = createReports(deps);
  const offences = options.offences ?? { count: 3, periodMs: 60_000 };
  const quarantineMs = options.quarantineMs ?? 60_000;
  const trial = createTrial({ sandbox, clock, plugin, reports, deadlineMs: options.deadlineMs });
  /** Never the same in two lives: a late end of a former life is nobody's. */
  let lastBatch = 0;

  function receive(state: PluginState, message: PluginMessage, ctx: Ctx): PluginState {
    switch (message.type) {
      case 'invoke':
        take(state, message, ctx);
        return state;
      case 'load':
        state.loads.push(message.replyTo);
        if (state.flight === undefined && !state.loaded && !isQuarantined(state)) fly(state, ctx);
        else tellLoads(state);
        return state;
      case 'self:linger-over':
        state.lingering = false;
        fly(state, ctx);
        return state;
      case 'self:batch-ended':
        if (state.flight?.batch === message.batch) land(state, message as BatchEnd, ctx);
        return state;
      case 'self:answers-due':
        tellAnswers(state, ctx);
        return state;
    }
  }

  function take(state: PluginState, { ticket, event, replyTo }: Extract<PluginMessage, { type: 'invoke' }>, ctx: Ctx): void {
    if (isQuarantined(state)) {
      answer(state, { ticket, event, replyTo, mishaps: 0 }, { type: 'quarantined' });
      tellAnswers(state, ctx);
      return;
    }
    state.queue.push({ ticket, event, replyTo, mishaps: 0 });
    if (state.flight !== undefined) return;
    if (state.queue.length >= state.batchLimit) fly(state, ctx);
    else if (!state.lingering) {
      state.lingering = true;
      ctx.after(options.lingerMs, { type: 'self:linger-over' });
    }
  }

  /** Sends the next batch off: suspects first, each alone, then the queue (G2, G3, G4). */
  function fly(state: PluginState, ctx: Ctx): void {
    if (state.flight !== undefined) return;
    const alone = state.suspects.length > 0;
    const invocations = alone ? state.suspects.splice(0, 1) : state.queue.splice(0, state.batchLimit);
    const isLoad = state.loads.length > 0 && !state.loaded;
    if (invocations.length === 0 && !isLoad) return;
    const batch = ++lastBatch;
    const ended = trial(state.isolateId, state.loaded, batch, invocations);
    state.flight = { batch, invocations, alone, startedMs: clock.monotonic(), ended };
    void ended.then((end) => {
      if (state.ending) return; // `stopping` waits for it by itself
      tellSelf(ctx, { type: 'self:batch-ended', ...end }); // a life that ended meanwhile has answered already
    });
  }

  /** Brings a batch home and starts the next. */
  function land(state: PluginState, end: BatchEnd, ctx: Ctx): void {
    const { flight } = state;
    if (flight === undefined) return;
    state.flight = undefined;
    const verdict = judge(end.error, state.isolateId);
    state.loaded = verdict === 'none' || verdict === 'broken';
    tellLoads(state);
    if (verdict === 'none') settle(state, flight, end);
    else if (verdict === 'refused') quarantine(state, end.error, flight.invocations);
    else if (verdict === 'mishap') again(state, flight, end.error);
    // a child that died with one suspect in flight is that suspect's doing until somebody proves otherwise
    else spoiled(state, flight, end.error, verdict === 'offence' || (verdict === 'dead' && flight.alone));
    tellAnswers(state, ctx);
    fly(state, ctx);
  }

  /** Those who asked for a load hear how it stands. */
  function tellLoads(state: PluginState): void {
    for (const replyTo of state.loads.splice(0)) replyTo.tell({ type: 'plugin-load-ended', loaded: state.loaded });
  }

  function settle(state: PluginState, flight: Flight, { results, callsMs }: BatchEnd): void {
    if (flight.invocations.length === 0) return;
    const failures: FailedRun[] = [];
    flight.invocations.forEach((invocation, index) => {
      const result = guarded(invocation, results[index]);
      if (result.type !== 'failed') return answer(state, invocation, result);
      const { message, event } = result;
      failures.push(failedRun(invocation, result.fault ?? { name: 'Error', message }, event));
      answer(state, invocation, { type: 'failed', message, event });
    });
    count(state, flight, failures, callsMs);
    if (!flight.alone && state.batchLimit < options.batchCount) state.batchLimit += 1;
    endSuspicion(state, flight);
  }

  /** G4: its members become suspects, or the one alone is found guilty. */
  function spoiled(state: PluginState, flight: Flight, error: unknown, isOffence: boolean): void {
    const [first] = flight.invocations;
    if (isOffence) state.offencesMs.push(clock.monotonic());
    if (first !== undefined && (flight.alone || (isOffence && flight.invocations.length === 1))) {
      state.culpritFound = true;
      answer(state, first, { type: 'failed', message: messageOf(error), event: undefined });
      count(state, flight, [failedRun(first, faultOf(error))]);
    } else {
      state.suspects.unshift(...flight.invocations);
      state.culpritFound = false;
    }
    const sinceMs = clock.monotonic() - offences.periodMs;
    state.offencesMs = state.offencesMs.filter((atMs) => atMs > sinceMs);
    if (state.offencesMs.length > offences.count) quarantine(state, error, []);
    else endSuspicion(state, flight);
  }

  /** G5: the same again, in the same company, a bounded number of times. */
  function again(state: PluginState, flight: Flight, error: unknown): void {
    const back = flight.alone ? state.suspects : state.queue;
    const tired = flight.invocations.some((invocation) => invocation.mishaps >= MISHAP_COUNT);
    if (!tired) {
      for (const invocation of flight.invocations) invocation.mishaps += 1;
      back.unshift(...flight.invocations);
      return;
    }
    for (const invocation of flight.invocations) answer(state, invocation, { type: 'failed', message: messageOf(error), event: undefined });
    const failures = flight.invocations.map((invocation) => failedRun(invocation, faultOf(error)));
    count(state, flight, failures);
  }

  /** After the last suspect: a batch that only together was too slow makes the next ones smaller. */
  function endSuspicion(state: PluginState, flight: Flight): void {
    if (flight.alone && state.suspects.length === 0 && !state.culpritFound)
      state.batchLimit = Math.max(1, Math.floor(state.batchLimit / 2));
  }

  /** G6 */
  function quarantine(state: PluginState, error: unknown, landed: readonly Invocation[]): void {
    state.quarantinedUntilMs = clock.monotonic() + quarantineMs;
    state.quarantineReason = messageOf(error);
    state.offencesMs = [];
    state.loaded = false;
    for (const invocation of [...landed, ...state.suspects.splice(0), ...state.queue.splice(0)])
      answer(state, invocation, { type: 'quarantined' });
    if (error instanceof RefusedError) {
      if (!error.isInert) reports.refused(state.quarantineReason, error.setupFault, quarantineMs);
    } else reports.stoppedTooOften(state.quarantineReason, quarantineMs);
    stateFact('plugin-quarantined', { pluginId, pluginConfigId, untilMs: clock.now() + quarantineMs, reason: state.quarantineReason });
  }

  function isQuarantined(state: PluginState): boolean {
    if (state.quarantinedUntilMs === 0) return false;
    if (clock.monotonic() < state.quarantinedUntilMs) return true;
    state.quarantinedUntilMs = 0;
    return false;
  }

  /** G8 */
  function count(state: PluginState, flight: Flight, failures: readonly FailedRun[], callsMs?: BatchEnd['callsMs']): void {
    const events = flight.invocations.length;
    const failed = failures.length;
    state.invokedCount += events;
    state.failedCount += failed;
    const durationMs = clock.monotonic() - flight.startedMs;
    // Who had to be stopped by force has measured nothing: his time is the batch's.
    const { succeeded: succeededMs, failed: failedMs } = callsMs ?? { succeeded: 0, failed: durationMs };
    stateFact('plugin-batch-invoked', { pluginId, pluginConfigId, events, failed, succeededMs, failedMs, durationMs });
    reports.runsEnded(events - failed, failures);
  }

  function tellAnswers(state: PluginState, ctx: Ctx): void {
    if (!tellOutbox(state) && !state.ending) ctx.after(ANSWERS_AGAIN_MS, { type: 'self:answers-due' });
  }

  /** G1 at the end of a life: a stop in order lets the isolate finish what was taken; a crash answers it as failed. */
  async function stopping(state: PluginState, reason: StopReason, ctx: Ctx): Promise<void> {
    state.ending = true;
    const crashed = reason === 'restarted' || reason === 'budget-spent';
    if (!crashed) fly(state, ctx);
    while (!crashed && state.flight !== undefined) land(state, await state.flight.ended, ctx);
    for (const invocation of [...(state.flight?.invocations ?? []), ...state.suspects, ...state.queue])
      answer(state, invocation, { type: 'failed', message: 'the actor of the plugin crashed', event: undefined });
    while (!tellOutbox(state)) await sleep(clock, ANSWERS_AGAIN_MS); // the runtime bounds `stopping`
    if (state.loaded) reports.unloaded();
    // Nobody is left to hear of a failure, and a child that does not answer this is killed by its host.
    sandbox.unload(state.isolateId).catch(() => undefined);
  }

  return {
    kind: 'plugin',
    start: () => freshState(++isolates, options.batchCount),
    receive,
    stopping,
    failed(_state, message, error) {
      if (message.type === 'invoke') tellFailure(message, messageOf(error));
    },
    refused(message) {
      if (message.type === 'invoke')
        message.replyTo.tell({ type: 'plugin-answered', ticket: message.ticket, result: { type: 'quarantined' } });
    },
    mailbox: { capacityCount: options.mailboxCapacityCount ?? 100_000 },
    supervision: deps.strategy,
    inspect: (state) => ({
      pluginConfigId,
      loaded: state.loaded,
      queued: state.queue.length,
      suspects: state.suspects.length,
      inFlight: state.flight?.invocations.length ?? 0,
      unanswered: state.outbox.length,
      batchLimit: state.batchLimit,
      offences: state.offencesMs.length,
      quarantinedForMs: Math.max(0, state.quarantinedUntilMs - clock.monotonic()),
      quarantineReason: state.quarantineReason,
      invoked: state.invokedCount,
      failed: state.failedCount,
    }),
  };
}

function tellFailure({ ticket, replyTo }: Extract<PluginMessage, { type: 'invoke' }>, message: string): void {
  replyTo.tell({ type: 'plugin-answered', ticket, result: { type: 'failed', message, event: undefined } });
}
