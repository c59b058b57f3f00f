/**
 * THE TREE. Children in start order; each needs only those above it, and they stop in the reverse order.
 *
 *     root (rest-for-one)
 *     ├── writers   dead-letter, clickhouse-writer, redis-buffer, person-writer
 *     ├── plugins   one per enabled plugin config
 *     ├── people    one per active (team, distinct_id), many thousands
 *     ├── teams     one per active team
 *     └── routers   one per assigned partition; with the consumer, the intake
 *
 * A crash in a writer or a router takes everything with it: what they held can only be given again by Kafka, from the
 * committed watermark, so the tree is built anew and the takeover finds out what is stored. A crash anywhere else stays there.
 */
import type { ClickHouse } from '../src/clickhouse/port.ts';
import type { Team } from '../src/domain/team.ts';
import type { DropList } from '../src/domain/token.ts';
import type { Ledger } from '../src/kafka/ledger.ts';
import type { RecordConsumer, RecordProducer } from '../src/kafka/port.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import type { GroupStore, PersonStore, PluginConfigStore, TeamStore } from '../src/postgres/port.ts';
import type { StateStore } from '../src/redis/port.ts';
import type { Clock, Random } from '../src/runtime/clock.ts';
import { sleep } from '../src/runtime/patience.ts';
import { backoffMs } from '../src/runtime/strategy.ts';
import { createActorSystem, type ActorSystem } from '../src/runtime/system.ts';
import type { AnyRef } from '../src/runtime/ref.ts';
import type { Sandbox } from '../src/sandbox/port.ts';
import { TREE_BACKOFF, TREE_BUDGET } from './budgets.ts';
import { startPlugins, type Plugins } from './plugins.ts';
import { createIntake, type Intake } from './routers.ts';
import type { TreeSettings } from './settings.ts';
import { runPhases } from './shutdown.ts';
import { startTeams, type Teams } from './teams.ts';
import { startWriters, type Writers } from './writers.ts';

/** Everything the tree needs from outside; made by src/main.ts, or by a simulation. */
export interface TroupeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly clickhouse: ClickHouse;
  readonly persons: PersonStore;
  readonly groups: GroupStore;
  readonly teams: TeamStore;
  readonly pluginConfigs: PluginConfigStore;
  readonly sandbox: Sandbox;
  readonly stateStore: StateStore;
  /** For dead letters. */
  readonly producer: RecordProducer;
  /** A consumer of the input topics, not yet started; a new one for each tree. */
  readonly createConsumer: () => RecordConsumer;
  readonly dropList: DropList;
  /** The account of all records, over all partitions there ever were (src/telemetry/account.ts). */
  readonly accounts: { open(topic: string, ledger: Ledger): void; close(ledger: Ledger): void };
  readonly quota?: (team: Team, eventCount: number) => number;
  readonly settings: TreeSettings;
  /** The tree cannot be held up: the process should end with a failure. */
  readonly onFatal: (error: Error) => void;
}

interface Tree {
  readonly system: ActorSystem;
  readonly writers: Writers;
  readonly plugins: Plugins;
  readonly teams: Teams;
  readonly intake: Intake;
}

export interface Troupe {
  /** The tree of now: it changes when it is built anew. */
  readonly tree: () => Tree;
  /** Orderly end: after it a restart replays nothing. Resolves when done; a second call skips to the end. */
  stop(): Promise<void>;
  /** As kill -9, for simulations: nothing is flushed, drained or committed. */
  kill(): void;
}

/** Starts the tree and the intake. @throws what the consumer throws when it cannot subscribe. */
export async function startTroupe(deps: TroupeDeps): Promise<Troupe> {
  const { clock, random, settings } = deps;
  const crashes: number[] = [];
  let stopping = false;
  let rebuilding = false;
  let tree = await plant();

  async function plant(): Promise<Tree> {
    const system = createActorSystem({ name: settings.name, clock, random });
    const planted: { tree: Tree | undefined } = { tree: undefined };
    const onEscalate = (ref: AnyRef, error: unknown): void => {
      if (planted.tree === undefined || planted.tree === tree) void rebuild(ref, error);
    };
    const writers = startWriters(system, deps, (topic, partition, generation) => intake.owns(topic, partition, generation), onEscalate);
    const plugins = startPlugins(system, deps);
    const teams = startTeams(system, deps, writers, (teamId) => plugins.of(teamId));
    const intake = createIntake(system, deps, deps.createConsumer(), teams, () => writers, onEscalate);
    planted.tree = { system, writers, plugins, teams, intake };
    await plugins.reload();
    await intake.start();
    return planted.tree;
  }

  /** Fells the tree without saving anything and plants a new one, within the budget. */
  async function rebuild(ref: AnyRef, error: unknown): Promise<void> {
    if (stopping || rebuilding) return;
    rebuilding = true;
    const cause = error instanceof Error ? error : new Error('not an Error was thrown', { cause: error });
    stateFact('log-written', {
      level: 'error',
      message: 'An actor that holds work has crashed; the tree is built anew.',
      fields: { actor: ref.path, error: cause.stack },
    });
    const nowMs = clock.monotonic();
    while (crashes[0] !== undefined && crashes[0] < nowMs - TREE_BUDGET.periodMs) crashes.shift();
    crashes.push(nowMs);
    if (crashes.length > TREE_BUDGET.count) {
      deps.onFatal(
        new Error(`the tree was built anew ${TREE_BUDGET.count} times in ${TREE_BUDGET.periodMs} ms and crashed again at ${ref.path}`, {
          cause,
        }),
      );
      return;
    }
    tree.system.kill();
    tree.plugins.stop();
    await tree.intake.abandon();
    await sleep(clock, backoffMs(crashes.length, TREE_BACKOFF, random.next()));
    if (stopping) return;
    try {
      tree = await plant();
      rebuilding = false;
    } catch (failure) {
      rebuilding = false;
      await rebuild(ref, failure);
    }
  }

  return {
    tree: () => tree,
    async stop() {
      if (stopping) return;
      stopping = true;
      tree.plugins.stop();
      await runPhases(clock, settings.shutdown, tree);
    },
    kill() {
      stopping = true;
      tree.plugins.stop();
      tree.system.kill();
      tree.intake.kill();
    },
  };
}
