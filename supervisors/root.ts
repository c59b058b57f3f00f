/**
 * THE TREE. Children in start order; each needs only those above it, and they stop in the reverse order.
 *
 *     root (rest-for-one)
 *     ├── writers   dead-letter, forwarder, clickhouse-writer or kafka-writer, plugin-journal, redis-buffer, person-writer, definition-writer
 *     ├── plugins   one per enabled plugin config
 *     ├── people    one per active (team, distinct_id), many thousands
 *     ├── teams     one per active team
 *     └── routers   one per assigned partition; with their consumer, an intake: one per input topic
 *
 * A crash in a writer or a router takes everything with it: what they held can only be given again by Kafka, from the
 * committed watermark, so the tree is built anew and the takeover finds out what is stored. A crash anywhere else stays there.
 *
 *     planting ──subscribed──▶ grown ──a writer or router crashed──▶ felled ──backoff──▶ planting
 *        │ fails, or crashes                                           │ budget spent
 *        └────────────────────────────────────────────────────────────▶└──▶ onFatal
 *
 * Invariants
 * T1 At most one tree is alive: before one is planted, nothing of the one before runs, writes, or holds a membership.
 * T2 A tree that fails while it is planted leaves nothing behind: no timer, no actor, no member of the group.
 * T3 Trees are built within TREE_BUDGET; one more, and the process is told to end, once.
 * T4 After `stop` or `kill` no tree is planted.
 */
import { createPrefetch } from '../actors/person-writer/index.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import { sleep } from '../src/runtime/patience.ts';
import { backoffMs } from '../src/runtime/strategy.ts';
import { createActorSystem, type ActorSystem } from '../src/runtime/system.ts';
import type { AnyRef } from '../src/runtime/ref.ts';
import { TREE_BACKOFF, TREE_BUDGET } from './budgets.ts';
import type { TroupeDeps } from './deps.ts';
import { createIntakes, type Intakes } from './intakes.ts';
import { startPlugins, type Plugins } from './plugins.ts';
import { runPhases } from './shutdown.ts';
import { startTeams, type Teams } from './teams.ts';
import { startWriters, type Writers } from './writers.ts';

interface Tree {
  readonly system: ActorSystem;
  readonly writers: Writers;
  readonly plugins: Plugins;
  readonly teams: Teams;
  readonly intakes: Intakes;
}

export interface Troupe {
  /** The tree of now: it changes when it is built anew. */
  readonly tree: () => Tree;
  /** Orderly end: after it a restart replays nothing. Resolves when done; a second call skips to the end. */
  stop(): Promise<void>;
  /** As kill -9, for simulations: nothing is flushed, drained or committed. */
  kill(): void;
}

/** Starts the tree and its intakes. @throws what the consumer throws when it cannot subscribe, or what crashed meanwhile. */
export async function startTroupe(deps: TroupeDeps): Promise<Troupe> {
  const { clock, random, settings } = deps;
  const crashesMs: number[] = [];
  const ending = Promise.withResolvers<void>();
  let isEnding = false;
  /** Ends when a new tree stands, or none will. */
  let replanting: Promise<void> | undefined;
  let planting: Tree | undefined;
  let standing: Tree | undefined;
  await plant();

  function tree(): Tree {
    if (standing === undefined) throw new Error('no tree has been planted');
    return standing;
  }

  /** T2 */
  async function plant(): Promise<void> {
    const system = createActorSystem({ name: settings.name, clock, random });
    const early = Promise.withResolvers<never>();
    let isGrown = false;
    const onEscalate = (ref: AnyRef, error: unknown): void => {
      if (isGrown) crashed(planted, ref, error);
      else early.reject(asError(error));
    };
    const prefetch = createPrefetch({ store: deps.persons, clock, capacityCount: settings.people.prefetchCount });
    const writers = startWriters(
      system,
      { ...deps, persons: prefetch.store },
      (topic, partition, generation) => intakes.owns(topic, partition, generation),
      onEscalate,
      (teamIds) => intakes.noteIngested(teamIds),
    );
    const plugins = startPlugins(system, deps, writers.pluginJournal);
    const teams = startTeams(system, deps, writers, prefetch, (teamId) => plugins.of(teamId));
    const intakes = createIntakes({ system, deps, below: { teams, prefetch }, writers: () => writers, onEscalate });
    const planted: Tree = { system, writers, plugins, teams, intakes };
    planting = planted;
    try {
      await Promise.race([plugins.reload().then(() => intakes.start()), early.promise]);
    } catch (error) {
      await fell(planted);
      throw error;
    } finally {
      planting = undefined;
    }
    // From here on a crash is for `crashed` to answer, before whoever waits for this promise goes on.
    isGrown = true;
    standing = planted;
    replanting = undefined;
    stateFact('tree-planted', { atMs: clock.monotonic() });
    if (isEnding) await fell(planted); // T4
  }

  /** Ends a tree without saving anything. */
  async function fell({ system, plugins, intakes }: Tree): Promise<void> {
    system.kill();
    plugins.stop();
    await intakes.abandon();
  }

  function crashed(which: Tree, ref: AnyRef, error: unknown): void {
    if (which === standing && replanting === undefined && !isEnding) replanting = replant(which, ref.path, asError(error));
  }

  async function replant(broken: Tree, where: string, cause: Error): Promise<void> {
    let [path, error] = [where, cause];
    await fell(broken); // T1
    for (;;) {
      const fields = { actor: path, error: error.stack };
      stateFact('log-written', { level: 'error', message: 'An actor that holds work has crashed; the tree is built anew.', fields });
      const nowMs = clock.monotonic();
      while (crashesMs[0] !== undefined && crashesMs[0] < nowMs - TREE_BUDGET.periodMs) crashesMs.shift();
      crashesMs.push(nowMs);
      if (crashesMs.length > TREE_BUDGET.count) {
        const message = `the tree was built anew ${TREE_BUDGET.count} times in ${TREE_BUDGET.periodMs} ms and crashed again at ${path}`;
        return deps.onFatal(new Error(message, { cause: error })); // T3
      }
      await Promise.race([sleep(clock, backoffMs(crashesMs.length, TREE_BACKOFF, random.next())), ending.promise]);
      if (isEnding) return;
      try {
        await plant();
        return;
      } catch (failure) {
        [path, error] = ['/', asError(failure)];
      }
    }
  }

  return {
    tree,
    async stop() {
      if (isEnding) return;
      isEnding = true;
      ending.resolve();
      if (replanting !== undefined) {
        // Nothing is in flight: what there was came to its end with the tree that crashed.
        await Promise.race([replanting, sleep(clock, settings.shutdown.drainMs)]);
        return;
      }
      tree().plugins.stop();
      await runPhases(clock, settings.shutdown, tree());
    },
    kill() {
      isEnding = true;
      ending.resolve();
      for (const one of planting === undefined ? [tree()] : [tree(), planting]) {
        one.plugins.stop();
        one.system.kill();
        one.intakes.kill();
      }
    },
  };
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error('not an Error was thrown', { cause: error }));
