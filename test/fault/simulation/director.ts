/** Who makes the trouble of a seed: deaths, pauses, restarts, outages, slowness, at times of its own choosing. */
import type { Network, System, Trouble } from './network.ts';
import { NO_TROUBLE } from './network.ts';
import { SESSION_TIMEOUT_MS } from './settings.ts';
import { STUMBLING, type SimulatedProcess } from './simulated-process.ts';
import type { Systems } from './systems.ts';

export interface Director {
  /** Ends all trouble and sees to it that a process runs. */
  makePeace(): void;
}

const SYSTEMS: readonly System[] = ['kafka', 'producer', 'postgres', 'clickhouse', 'state-store'];
const MOST_PROCESSES = 3;

export function createDirector(
  network: Network,
  processes: readonly SimulatedProcess[],
  systems: Systems,
  start: () => SimulatedProcess,
  trouble: Partial<Trouble> = {},
  freezeRatio = 0,
): Director {
  const { random, clock } = network;
  let isPeace = false;
  const isUp = (one: SimulatedProcess): boolean => one.host.isAlive && !one.isStopping;
  const up = (): SimulatedProcess[] => processes.filter(isUp);

  network.trouble = { ...temperament(random.next()), ...trouble };
  start();
  if (random.next() < 0.6) start();
  clock.after(500 + random.below(2_000), act);

  /** Some seeds are calm but for what is done to whole processes: what only shows without retries must show too. Some are wild. */
  function temperament(chance: number): Trouble {
    if (chance < 0.15) return NO_TROUBLE;
    const wildness = chance < 0.8 ? 1 : 4;
    return {
      awayRatio: random.next() * 0.04 * wildness,
      lostRatio: random.next() * 0.06 * wildness,
      crashRatio: random.next() * 0.002 * wildness,
      slowRatio: random.next() * 0.05,
      slowMs: 50 + random.below(4_000),
    };
  }

  function act(): void {
    if (isPeace) return;
    const alive = up();
    const victim = alive[random.below(Math.max(1, alive.length))];
    const isFrozen = freezeRatio > 0 && random.next() < freezeRatio;
    const chance = random.next();
    if (victim !== undefined && isFrozen) pause(victim, SESSION_TIMEOUT_MS + random.below(6_000));
    else if (victim === undefined || (alive.length < MOST_PROCESSES && chance < 0.15)) start();
    else if (chance < 0.35) victim.host.die();
    else if (chance < 0.5) pause(victim, random.next() < 0.5 ? SESSION_TIMEOUT_MS + random.below(6_000) : random.below(3_000));
    else if (chance < 0.6) victim.stop();
    else if (chance < 0.65) systems.clickhouse.crash();
    else if (chance < 0.7) victim.stumble(random.pick(STUMBLING));
    else network.outage(random.pick(SYSTEMS), 100 + random.below(random.next() < 0.3 ? 9_000 : 1_500));
    clock.after(200 + random.below(2_500), act);
  }

  /** Half of them outlast the session: the process comes back as a zombie. */
  function pause(victim: SimulatedProcess, forMs: number): void {
    victim.host.pause();
    clock.after(forMs, () => {
      if (victim.host.isPaused) victim.host.resume();
    });
  }

  return {
    makePeace() {
      isPeace = true;
      network.note('peace');
      network.trouble = NO_TROUBLE;
      network.endOutages();
      for (const one of processes) if (one.host.isPaused) one.host.resume();
      if (up().length === 0) start();
    },
  };
}
