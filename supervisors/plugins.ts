/**
 * One actor per enabled plugin config, kept in step with PostgreSQL.
 *
 * Invariants
 * P1 A team's plugins are listed in ascending `order` (V-2), and only those whose code loaded.
 * P2 A config that changed gets a new actor; the old one answers what it has taken and is then stopped. Handles stay: an event
 *    that waits with one in its hand is given to whoever answers for the config then, so a change costs no event its plugin.
 * P3 A plugin that does not load, or a store that is away, costs no event: the team goes on with what it has, and a fact says so.
 * P4 What is new is loaded at once, one after the other: its author hears whether it runs before an event comes (V-22), and a
 *    thousand plugins do not all want a processor at the start. Nobody waits for it.
 */
import { createPlugin } from '../actors/plugin/index.ts';
import type { PluginHandle } from '../actors/distinct-id/messages.ts';
import type { PluginLoadAnswer, PluginMessage } from '../actors/plugin/messages.ts';
import type { TeamId } from '../src/domain/ids.ts';
import { state as stateFact } from '../src/observe/facts.ts';
import type { PluginConfigRow } from '../src/postgres/port.ts';
import type { ActorRef } from '../src/runtime/ref.ts';
import type { ActorSystem } from '../src/runtime/system.ts';
import { PLUGIN_STRATEGY } from './budgets.ts';
import type { PluginJournal } from './plugin-journal.ts';
import type { TroupeDeps } from './deps.ts';

export interface Plugins {
  of(teamId: TeamId): readonly PluginHandle[];
  /** Reads the store and starts, replaces or stops actors. Never rejects (P3). */
  reload(): Promise<void>;
  stop(): void;
  /** Ends every plugin in order (V-26), while there is somebody left to write down what they say last. */
  unload(limitMs: number): Promise<void>;
}

interface Running {
  row: PluginConfigRow;
  ref: ActorRef<PluginMessage>;
  readonly handle: PluginHandle;
}

/** Longer than a load may take before the sandbox ends it. */
const WARM_UP_MS = 15_000;
const NONE: readonly PluginHandle[] = [];

export function startPlugins(system: ActorSystem, deps: TroupeDeps, journal: PluginJournal): Plugins {
  const { clock, settings, sandbox } = deps;
  const parent = system.parent('plugins');
  const running = new Map<number, Running>();
  let byTeam = new Map<TeamId, PluginHandle[]>();
  let life = 0;
  let stopped = false;
  let reloading = Promise.resolve();
  let timer = clock.after(settings.plugins.reloadEveryMs, again);

  function again(): void {
    void reload().then(() => {
      if (!stopped) timer = clock.after(settings.plugins.reloadEveryMs, again);
    });
  }

  /** One after another: two at once would start two actors for a config. */
  function reload(): Promise<void> {
    reloading = reloading.then(reloadNow);
    return reloading;
  }

  async function reloadNow(): Promise<void> {
    const startedMs = clock.monotonic();
    let rows: readonly PluginConfigRow[];
    try {
      rows = await deps.pluginConfigs.activePluginConfigs();
    } catch (error) {
      const message = error instanceof Error ? error.message : 'unknown';
      stateFact('log-written', {
        level: 'warn',
        message: 'Plugin configs could not be read; those that run go on.',
        fields: { error: message },
      });
      return;
    }
    if (stopped) return;
    const readMs = clock.monotonic() - startedMs;
    const leaving: ActorRef<PluginMessage>[] = [];
    const wanted = new Set(rows.map((row) => row.pluginConfigId));
    for (const [id, { ref }] of [...running]) {
      if (wanted.has(id)) continue;
      running.delete(id);
      leaving.push(ref);
    }
    const before = new Set([...running.values()].map(({ ref }) => ref));
    for (const row of rows) leaving.push(...refresh(row));
    const next = new Map<TeamId, PluginHandle[]>();
    for (const { row, handle } of [...running.values()].sort((a, b) => a.row.order - b.row.order)) {
      const list = next.get(row.teamId);
      if (list === undefined) next.set(row.teamId, [handle]);
      else list.push(handle);
    }
    byTeam = next;
    stateFact('plugins-reloaded', { configs: running.size, readMs, durationMs: clock.monotonic() - startedMs });
    void warmUp([...running.values()].map(({ ref }) => ref).filter((ref) => !before.has(ref)));
    // Only now: nobody is handed an actor that no longer takes anything (P2).
    await Promise.all(leaving.map((ref) => system.stop(ref, settings.plugins.deadlineMs)));
  }

  /** P4. Never rejects. */
  async function warmUp(refs: readonly ActorRef<PluginMessage>[]): Promise<void> {
    const startedMs = clock.monotonic();
    for (const ref of refs) {
      if (stopped) return;
      const load = system.ask<PluginMessage, PluginLoadAnswer>(ref, (replyTo) => ({ type: 'load', replyTo }), WARM_UP_MS);
      // Replaced meanwhile, or slow: it is loaded with its first event, and says itself when it cannot be.
      await Promise.allSettled([load]);
    }
    if (refs.length > 0) stateFact('plugins-warmed-up', { plugins: refs.length, durationMs: clock.monotonic() - startedMs });
  }

  /** Starts what is new or has changed; answers whom it replaced. */
  function refresh(row: PluginConfigRow): readonly ActorRef<PluginMessage>[] {
    const before = running.get(row.pluginConfigId);
    if (before?.row.fingerprint === row.fingerprint) {
      before.row = row;
      return [];
    }
    const spec = createPlugin({
      sandbox,
      clock,
      plugin: { ...row, name: row.pluginName, logLevel: row.logLevel },
      journal: journal.ref,
      instanceId: journal.instanceId,
      options: settings.plugins,
      strategy: PLUGIN_STRATEGY,
    });
    const ref = system.spawn(spec, `${row.pluginConfigId}+${++life}`, parent, () => {
      if (running.get(row.pluginConfigId)?.ref === ref) running.delete(row.pluginConfigId);
    });
    const handle = handleOf(row, () => running.get(row.pluginConfigId)?.ref ?? ref);
    running.set(row.pluginConfigId, { row, ref, handle });
    return before === undefined ? [] : [before.ref];
  }

  return {
    of: (teamId) => byTeam.get(teamId) ?? NONE,
    reload,
    stop() {
      stopped = true;
      timer.cancel();
    },
    async unload(limitMs) {
      await Promise.all([...running.values()].map(({ ref }) => system.stop(ref, limitMs)));
    },
  };
}

/** P2: stands for the config, whichever actor runs it. */
function handleOf({ pluginConfigId, pluginName }: PluginConfigRow, now: () => ActorRef<PluginMessage>): PluginHandle {
  const ref: ActorRef<PluginMessage> = {
    path: `/plugins/${pluginConfigId}`,
    kind: 'plugin',
    tell: (message, trace) => now().tell(message, trace),
  };
  return { pluginConfigId, name: pluginName, ref };
}
