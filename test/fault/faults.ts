import { spawn } from 'node:child_process';
import type { Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

/** The Troupe processes of a run, so that a fault can end one and begin another. */
export interface Fleet {
  readonly processes: readonly TroupeProcess[];
  start(): Promise<TroupeProcess>;
  /** Takes it off the list, whichever way it has ended. */
  forget(process: TroupeProcess): void;
  stopAll(): Promise<void>;
  /** What each process of the run wrote, in the order of their starts. */
  outputs(): readonly { readonly pid: number; readonly text: string }[];
}

export function createFleet(env: Readonly<Record<string, string>>): Fleet {
  const processes: TroupeProcess[] = [];
  const all: TroupeProcess[] = [];
  return {
    processes,
    async start() {
      const started = await startTroupe({ env });
      processes.push(started);
      all.push(started);
      return started;
    },
    forget(process) {
      const at = processes.indexOf(process);
      if (at >= 0) processes.splice(at, 1);
    },
    async stopAll() {
      await Promise.all(processes.splice(0).map((process) => process.kill()));
    },
    outputs: () => all.map((process) => ({ pid: process.pid, text: process.output() })),
  };
}

export interface FaultContext {
  readonly surroundings: Surroundings;
  readonly fleet: Fleet;
  readonly random: () => number;
}

export interface Fault {
  readonly name: string;
  /** Breaks something and mends it. Resolves to a line on what was done; undefined `skipped` unless it could not be done here. */
  run(context: FaultContext): Promise<{ readonly did: string; readonly skipped?: boolean }>;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const between = (random: () => number, low: number, high: number): number => Math.round(low + random() * (high - low));

/** kill -9 in the middle of whatever it does; another process takes over. */
const killTroupe: Fault = {
  name: 'troupe',
  async run({ fleet, random }) {
    const victim = fleet.processes[Math.floor(random() * fleet.processes.length)];
    if (victim === undefined) throw new Error('no process runs');
    fleet.forget(victim);
    await victim.kill();
    await fleet.start();
    return { did: `kill -9 of Troupe ${victim.pid}, a new one is ready` };
  },
};

/** A deploy: a second process joins, the first leaves in order, a third joins, the second leaves. */
const rollTroupe: Fault = {
  name: 'roll',
  async run({ fleet, random }) {
    const exits: string[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const old = fleet.processes[0];
      if (old === undefined) throw new Error('no process runs');
      await fleet.start();
      await pause(between(random, 0, 1_000));
      fleet.forget(old);
      const { code, signal } = await old.stop();
      if (code !== 0) throw new Error(`a process that was told to stop ended with ${signal ?? code}:\n${old.output().slice(-3_000)}`);
      exits.push(String(code));
    }
    return { did: `two processes replaced one after another, exit codes ${exits.join(', ')}` };
  },
};

/** The group notices by silence only: the partitions of the dead one move when its session has run out. */
const killOneOfTwo: Fault = {
  name: 'half',
  async run({ fleet, random }) {
    const old = fleet.processes[0];
    if (old === undefined) throw new Error('no process runs');
    await fleet.start();
    await pause(between(random, 0, 2_000));
    fleet.forget(old);
    await old.kill();
    return { did: `of two processes one was killed (${old.pid})` };
  },
};

/**
 * A zombie: a process that stands still until its partitions belong to another one, and then goes on where it was, with
 * inserts begun, person writes under way and a heartbeat that it believes to be fresh.
 */
const freezeTroupe: Fault = {
  name: 'freeze',
  async run({ fleet, random }) {
    const zombie = fleet.processes[0];
    if (zombie === undefined) throw new Error('no process runs');
    await fleet.start();
    await pause(between(random, 500, 2_000));
    process.kill(zombie.pid, 'SIGSTOP');
    const frozenMs = between(random, 7_000, 9_000);
    await pause(frozenMs);
    process.kill(zombie.pid, 'SIGCONT');
    await pause(between(random, 0, 2_000));
    fleet.forget(zombie);
    const { code, signal } = await zombie.stop();
    if (code !== 0) throw new Error(`the zombie ended with ${signal ?? code}:\n${zombie.output().slice(-3_000)}`);
    return { did: `one of two processes stood still for ${frozenMs} ms, past its session, woke up and left in order` };
  },
};

const killBroker: Fault = {
  name: 'broker',
  async run({ surroundings: { kafka }, random }) {
    const node = kafka.nodes[Math.floor(random() * kafka.nodes.length)];
    if (node === undefined) throw new Error('no broker');
    await node.kill();
    const awayMs = between(random, 0, 2_000);
    await pause(awayMs);
    await node.start();
    return { did: `kill -9 of broker ${kafka.nodes.indexOf(node) + 1} of ${kafka.nodes.length}, back after ${awayMs} ms` };
  },
};

const killPostgres: Fault = {
  name: 'postgres',
  async run({ surroundings: { postgres }, random }) {
    await postgres.kill();
    const awayMs = between(random, 0, 2_000);
    await pause(awayMs);
    await postgres.start();
    return { did: `kill -9 of the postmaster, back after ${awayMs} ms` };
  },
};

const killClickHouse: Fault = {
  name: 'clickhouse',
  async run({ surroundings: { clickhouse }, random }) {
    await clickhouse.kill();
    const awayMs = between(random, 0, 2_000);
    await pause(awayMs);
    await clickhouse.restart();
    return { did: `kill -9 of the ClickHouse engine, back after ${awayMs} ms` };
  },
};

/** The window that random kills do not find: between the token's line in the engine's log and the part's rename. */
const killAtRename: Fault = {
  name: 'rename',
  async run({ surroundings: { clickhouse }, random }) {
    const nth = between(random, 1, 12);
    const calls = 'rename,renameat,renameat2';
    const strace = spawn(
      'strace',
      [
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        `trace=${calls}`,
        '-e',
        `inject=${calls}:signal=SIGKILL:when=${nth}`,
        '-p',
        String(clickhouse.pid),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    strace.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const left = new Promise<'left'>((resolve) => {
      strace.once('error', (error) => ((said += error.message), resolve('left')));
      strace.once('exit', () => resolve('left'));
    });
    let gone = false;
    const ended = clickhouse.ended().then(() => {
      gone = true;
    });
    await Promise.race([ended, left, pause(20_000)]);
    strace.kill('SIGKILL');
    await left;
    await Promise.race([ended, pause(500)]); // strace leaves when its tracee dies, and may be seen to leave first
    if (!gone) return { skipped: true, did: `the engine could not be killed at a rename: ${said.trim() || 'strace said nothing'}` };
    await clickhouse.restart();
    return { did: `the ClickHouse engine killed at rename ${nth}, back at once` };
  },
};

const killRedis: Fault = {
  name: 'redis',
  async run({ surroundings: { redis }, random }) {
    await redis.kill();
    const awayMs = between(random, 0, 2_000);
    await pause(awayMs);
    await redis.start();
    return { did: `kill -9 of redis-server, back after ${awayMs} ms` };
  },
};

export const FAULTS: readonly Fault[] = [
  killTroupe,
  killAtRename,
  rollTroupe,
  killBroker,
  killClickHouse,
  killPostgres,
  freezeTroupe,
  killOneOfTwo,
  killRedis,
];
