/** Time, injected everywhere (house rule 30): tests and the simulation decide when it passes. */
export interface Clock {
  /** Wall time in epoch ms; for data only. */
  now(): number;
  /** Monotonic ms; for durations and deadlines. */
  monotonic(): number;
  /** Runs `run` once after `delayMs`. The handle cancels it; cancelling twice is harmless. */
  after(delayMs: number, run: () => void): Timer;
}
/** What `after` gives back. Cancelling one that has run, or twice, does nothing. */
export interface Timer {
  cancel(): void;
}

/** Chance, injected: jitter and ids. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
}

/** The machine's own clock. Timers do not keep the process alive by themselves. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};
/** Math.random. */
export const systemRandom: Random = { next: () => Math.random() };
