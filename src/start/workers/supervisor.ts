import { state } from '../../observe/facts.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { ReloadCause } from '../reload/reloader.ts';
import type { Fork, FromWorker, ToWorker, WorkerProcess } from './protocol.ts';

/**
 * Role: keeps `count` workers alive, and speaks for them.
 *
 *     starting ──started──▶ up ──ended──▶ resting (backoff) ──▶ starting …        stop: all ──drained──▶ ended
 *
 * I1 While it is not stopping each slot has one process, or a timer that starts one.
 * I2 A slot rests longer each time: `firstRestMs`, doubled up to `maxRestMs`; one that lived for `calmMs` begins anew.
 * I3 More than `deathCount` deaths within `deathWindowMs` are no accident, nor is the end of a worker before any has ever started:
 *    `onHopeless`, once. An operator must look; starting on would hide it.
 * I4 When it stops, every worker is told to drain, and killed when it has not ended after `graceMs`. None is started any more.
 */
export interface Workers {
  /** Resolves when the first one serves, with its address. */
  readonly started: Promise<string>;
  /** How many would take an event now. */
  readyCount(): Promise<number>;
  /** Metrics texts of those that answer in time, by slot. */
  metrics(): Promise<ReadonlyMap<string, string>>;
  reload(cause: ReloadCause): void;
  /** Of all, and of those that start later. */
  setLogLevel(level: Level): void;
  isStopping(): boolean;
  /** Resolves when none runs. Idempotent. @throws Error that counts those which did not end well. */
  stop(): Promise<void>;
}

export interface WorkersOptions {
  readonly count: number;
  readonly fork: Fork;
  readonly clock: Clock;
  /** From the order to drain to the kill. */
  readonly graceMs: number;
  readonly onHopeless: (error: Error) => void;
  readonly limits?: Partial<WorkerLimits>;
}

export interface WorkerLimits {
  readonly firstRestMs: number;
  readonly maxRestMs: number;
  readonly calmMs: number;
  readonly deathCount: number;
  readonly deathWindowMs: number;
  /** How long a worker may take to answer a question. */
  readonly askMs: number;
}

const LIMITS: WorkerLimits = {
  firstRestMs: 100,
  maxRestMs: 5_000,
  calmMs: 60_000,
  deathCount: 10,
  deathWindowMs: 60_000,
  askMs: 1_500,
};

type Level = Extract<ToWorker, { readonly type: 'log-level' }>['level'];

interface Slot {
  readonly number: number;
  process: WorkerProcess | undefined;
  isUp: boolean;
  begunMs: number;
  restMs: number;
  timer: Timer | undefined;
}

export function superviseWorkers(options: WorkersOptions): Workers {
  const { count, fork, clock, graceMs, onHopeless } = options;
  const limits = { ...LIMITS, ...options.limits };
  const slots: readonly Slot[] = Array.from({ length: count }, (_, index) => ({
    number: index + 1,
    process: undefined,
    isUp: false,
    begunMs: 0,
    restMs: limits.firstRestMs,
    timer: undefined,
  }));
  const { promise: started, resolve: hasStarted } = Promise.withResolvers<string>();
  const { promise: allEnded, resolve: lastEnded } = Promise.withResolvers<void>();
  const questions = new Map<number, (text: string) => void>();
  let asked = 0;
  let hasAnyStarted = false;
  let deaths: number[] = [];
  let stopping = false;
  let hopeless = false;
  let level: Level | undefined;
  let badEnds = 0;

  for (const slot of slots) begin(slot);

  function begin(slot: Slot): void {
    slot.timer = undefined;
    slot.begunMs = clock.monotonic();
    const process = fork(slot.number, {
      heard: (message) => heard(slot, message),
      ended: (code, signal) => ended(slot, code, signal),
    });
    slot.process = process;
    process.send({ type: 'begin', slot: slot.number });
  }

  function heard(slot: Slot, message: FromWorker): void {
    if (message.type === 'answer') return questions.get(message.id)?.(message.text);
    slot.isUp = true;
    hasAnyStarted = true;
    hasStarted(message.url);
    if (level !== undefined) slot.process?.send({ type: 'log-level', level });
    state('worker-started', { slot: slot.number, pid: slot.process?.pid ?? 0, upCount: upCount() });
  }

  function ended(slot: Slot, code: number | null, signal: string | null): void {
    const pid = slot.process?.pid ?? 0;
    slot.process = undefined;
    slot.isUp = false;
    state('worker-ended', { slot: slot.number, pid, code, signal, isAsked: stopping, upCount: upCount() });
    if (stopping) {
      if (code !== 0) badEnds++;
      if (slots.every(({ process }) => process === undefined)) lastEnded();
      return;
    }
    const nowMs = clock.monotonic();
    deaths = [...deaths.filter((atMs) => nowMs - atMs < limits.deathWindowMs), nowMs];
    const how = signal ?? `code ${code ?? 'none'}`;
    if (!hasAnyStarted) giveUp(`a worker ended (${how}) before any had started; what it said is above`);
    else if (deaths.length > limits.deathCount)
      giveUp(`${deaths.length} workers died within a minute, the last with ${how}; what they said is above`);
    if (nowMs - slot.begunMs >= limits.calmMs) slot.restMs = limits.firstRestMs;
    slot.timer = clock.after(slot.restMs, () => begin(slot));
    slot.restMs = Math.min(slot.restMs * 2, limits.maxRestMs);
  }

  /** Whoever is told stops us. */
  function giveUp(why: string): void {
    if (hopeless) return;
    hopeless = true;
    onHopeless(new Error(`Capture cannot go on: ${why}.`));
  }

  const upCount = (): number => slots.reduce((sum, { isUp }) => sum + Number(isUp), 0);

  function tellAll(message: ToWorker): void {
    for (const { process } of slots) process?.send(message);
  }

  /** Undefined when it does not answer in time, as one that is dying. */
  function ask({ process }: Slot, what: 'ready' | 'metrics'): Promise<string | undefined> {
    if (process === undefined) return Promise.resolve(undefined);
    const id = ++asked;
    return new Promise((resolve) => {
      const end = (text: string | undefined): void => {
        limit.cancel();
        questions.delete(id);
        resolve(text);
      };
      const limit = clock.after(limits.askMs, () => end(undefined));
      questions.set(id, end);
      process.send({ type: 'ask', id, what });
    });
  }

  async function drain(): Promise<void> {
    stopping = true;
    for (const slot of slots) slot.timer?.cancel();
    tellAll({ type: 'stop' });
    if (slots.every(({ process }) => process === undefined)) return;
    const limit = clock.after(graceMs, () => {
      for (const { process } of slots) process?.kill();
    });
    await allEnded;
    limit.cancel();
    if (badEnds > 0 && !hopeless) throw new Error(`${badEnds} of ${count} workers did not end well; what they said is above`);
  }

  let end: Promise<void> | undefined;
  return {
    started,
    async readyCount() {
      const answers = await Promise.all(slots.filter(({ isUp }) => isUp).map((slot) => ask(slot, 'ready')));
      return answers.filter((text) => text !== undefined && text !== '').length;
    },
    async metrics() {
      const texts = await Promise.all(slots.map(async (slot) => [String(slot.number), await ask(slot, 'metrics')] as const));
      return new Map(texts.filter((each): each is readonly [string, string] => each[1] !== undefined));
    },
    setLogLevel(given) {
      level = given;
      tellAll({ type: 'log-level', level: given });
    },
    reload: (cause) => tellAll({ type: 'reload', cause }),
    isStopping: () => stopping,
    stop: () => (end ??= drain()),
  };
}
