/**
 * The machine that one simulated process runs on: its clock, and its way to the outside. It can stop for a while (SIGSTOP, a long
 * garbage collection) and die (SIGKILL); what it had sent by then goes on without it.
 */
import type { Clock } from '../../../src/runtime/clock.ts';
import type { Link } from '../../kit/link.ts';
import type { Network, System } from './network.ts';

export interface Host {
  readonly name: string;
  readonly clock: Clock;
  readonly isAlive: boolean;
  readonly isPaused: boolean;
  /** The two ways of one call; `outward` rejects with `away`, `homeward` with `lost`, and neither is heard by a dead host. */
  call(system: System, what: string): Call;
  link(system: System): Link;
  pause(): void;
  resume(): void;
  die(): void;
}

export interface Call {
  outward(away: (() => Error) | undefined): Promise<void>;
  homeward(lost: (() => Error) | undefined): Promise<void>;
  /** Resolves when an answer, here an error, has come home. */
  fail(error: unknown): Promise<never>;
}

export function createHost(name: string, network: Network, died: () => void): Host {
  const world = network.clock;
  let isAlive = true;
  let isPaused = false;
  const held: (() => void)[] = [];

  /** Runs something inside the process: now, when it goes on, or never. */
  function inside(run: () => void): void {
    if (!isAlive) return;
    if (isPaused) held.push(run);
    else run();
  }

  function die(): void {
    if (!isAlive) return;
    isAlive = false;
    held.length = 0;
    network.note(`${name} dies`);
    died();
  }

  /** A call that was made in trouble may end in peace: then nobody dies of it any more. */
  function dieInTrouble(): void {
    if (network.trouble.crashRatio > 0) die();
  }

  function call(system: System, what: string): Call {
    if (!isAlive) return { outward: never, homeward: never, fail: never };
    const fate = network.fate(name, system, what);
    const later = (ms: number, run: () => void): void => void world.after(ms, run);
    return {
      outward: (away) =>
        new Promise((resolve, reject) => {
          later(fate.requestMs, () => {
            if (fate.crash === 'before') dieInTrouble();
            if (fate.isAway && away !== undefined) later(fate.answerMs, () => inside(() => reject(away())));
            else resolve();
          });
        }),
      homeward: (lost) =>
        new Promise((resolve, reject) => {
          if (fate.crash === 'after') dieInTrouble();
          later(fate.answerMs, () => inside(fate.isLost && lost !== undefined ? () => reject(lost()) : resolve));
        }),
      fail: (error) =>
        new Promise((_resolve, reject) => {
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what a system rejects with is passed on as it is
          later(fate.answerMs, () => inside(() => reject(error)));
        }),
    };
  }

  return {
    name,
    get isAlive() {
      return isAlive;
    },
    get isPaused() {
      return isPaused;
    },
    clock: {
      now: () => world.now(),
      monotonic: () => world.monotonic(),
      after(delayMs, run) {
        let isCancelled = false;
        const timer = world.after(delayMs, () =>
          inside(() => {
            if (!isCancelled) run();
          }),
        );
        return {
          cancel() {
            isCancelled = true;
            timer.cancel();
          },
        };
      },
    },
    call,
    link: (system) => ({
      async call(what, apply, failures = {}) {
        const way = call(system, what);
        await way.outward(failures.away);
        let answer: Awaited<ReturnType<typeof apply>>;
        try {
          answer = await apply();
        } catch (error) {
          return way.fail(error);
        }
        await way.homeward(failures.lost);
        return answer;
      },
    }),
    pause() {
      isPaused = true;
      network.note(`${name} pauses`);
    },
    resume() {
      isPaused = false;
      network.note(`${name} goes on`);
      for (const run of held.splice(0)) inside(run);
    },
    die,
  };
}

const never = (): Promise<never> => new Promise(() => undefined);
