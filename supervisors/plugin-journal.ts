import { createPluginJournal } from '../actors/plugin-journal/index.ts';
import type { PluginJournalMessage } from '../actors/plugin-journal/messages.ts';
import type { RowWriterMessage } from '../actors/row-writer/messages.ts';
import { uuidV7 } from '../src/domain/uuid.ts';
import type { ActorRef } from '../src/runtime/ref.ts';
import type { ActorSystem, ParentRef } from '../src/runtime/system.ts';
import { PLUGIN_JOURNAL_STRATEGY } from './budgets.ts';
import type { TroupeDeps } from './deps.ts';

export interface PluginJournal {
  readonly ref: ActorRef<PluginJournalMessage>;
  /** Of this tree: authors see by it that a plugin began anew (V-22). */
  readonly instanceId: string;
}

/** A writer among the others, but for its crash: nobody's event depends on it, so it begins anew by itself and fells no tree. */
export function startPluginJournal(
  system: ActorSystem,
  deps: Pick<TroupeDeps, 'clock' | 'random' | 'settings'>,
  rowWriter: ActorRef<RowWriterMessage>,
  parent: ParentRef,
): PluginJournal {
  const { clock, random, settings } = deps;
  const bytes = Uint8Array.from({ length: 10 }, () => Math.floor(random.next() * 256));
  const instanceId = uuidV7({ nowMs: clock.now(), random: bytes });
  const spec = createPluginJournal({ rowWriter, instanceId, options: settings.pluginJournal, strategy: PLUGIN_JOURNAL_STRATEGY });
  return { ref: system.spawn(spec, 'plugin-journal', parent), instanceId };
}
