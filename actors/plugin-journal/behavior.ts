/**
 * What plugins did and said, for their authors: app metrics (4.8) and log entries (4.6). Everybody tells it and nobody waits
 * for it, so it may lose what a crash takes, and no event with it.
 *
 *     quiet ──a run is counted──▶ counting ──flushEveryMs | maxKeysCount | drain | stop──▶ quiet
 *     lines go on at once: the row writer gathers them with the rows of others
 *
 * Invariants
 * J1 Runs of a plugin config are added up; they leave as one row, so that rows do not grow with events (AM-2).
 * J2 A failure is a row of its own with its error, at most `errorsPerSecondCount` a second and config; the others are counted in
 *    the row of J1. The sum of `failures` over all rows is right either way.
 * J3 A line is sent when its level passes (LG-1), it is not too long (LG-2), and its config has not spent its share of the second.
 *    What SYSTEM and PLUGIN say has a share of its own, so that a chatty console hides no error.
 * J4 Every line that is not sent for LG-2 or its share is counted by a reason, those that the sandbox did not keep as well.
 * J5 Times of the lines of a config grow, and so do ids: none hides another in the table (lines.ts).
 * J6 A crash loses what was counted and not flushed, and nothing else: a new life begins at zero.
 */
import { uuidV7 } from '../../src/domain/uuid.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec, StopReason } from '../../src/runtime/actor.ts';
import type { Random, Timer } from '../../src/runtime/clock.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { RowWriterMessage } from '../row-writer/messages.ts';
import { createLineRows, MAX_MESSAGE_CHARS, passesLevel, type LineRows } from './lines.ts';
import type { PluginJournalMessage } from './messages.ts';
import { createPace, type Pace } from './pace.ts';
import { createTallies, type Tallies } from './tallies.ts';

export interface PluginJournalOptions {
  /** App metrics are written out so often. */
  readonly flushEveryMs: number;
  /** And earlier when they have so many keys: configs and errors (AM-2). */
  readonly maxKeysCount: number;
  /** LG-1: 0 lets everything through, 4 only errors. */
  readonly defaultLogLevel: number;
  /** Share of one plugin config. */
  readonly linesPerSecondCount: number;
  readonly errorsPerSecondCount: number;
  readonly mailboxCapacityCount: number;
}

export interface PluginJournalDeps {
  readonly rowWriter: ActorRef<Extract<RowWriterMessage, { type: 'store-side-rows' }>>;
  /** `instance_id` of log entries. */
  readonly instanceId: string;
  readonly options: PluginJournalOptions;
  readonly strategy: Strategy;
}

interface PluginJournalState {
  readonly tallies: Tallies;
  readonly lines: LineRows;
  readonly consolePace: Pace;
  readonly ownPace: Pace;
  readonly errorPace: Pace;
  readonly nextId: (nowMs: number) => string;
  flush: Timer | undefined;
  sentCount: number;
  unsentCount: number;
}

type Context = ActorContext<PluginJournalMessage>;
/** Configs whose last time is remembered. */
const REMEMBERED_COUNT = 10_000;

export function createPluginJournal(deps: PluginJournalDeps): ActorSpec<PluginJournalState, PluginJournalMessage> {
  const { rowWriter, instanceId, options } = deps;

  function start({ random }: Context): PluginJournalState {
    const nextId = timeOrderedIds(random);
    return {
      tallies: createTallies(),
      lines: createLineRows({ instanceId, nextId, rememberedCount: REMEMBERED_COUNT }),
      consolePace: createPace(options.linesPerSecondCount),
      ownPace: createPace(options.linesPerSecondCount),
      errorPace: createPace(options.errorsPerSecondCount),
      nextId,
      flush: undefined,
      sentCount: 0,
      unsentCount: 0,
    };
  }

  function receive(state: PluginJournalState, message: PluginJournalMessage, ctx: Context): PluginJournalState {
    switch (message.type) {
      case 'count-runs':
        countRuns(state, message, ctx);
        break;
      case 'log-lines':
        logLines(state, message, ctx);
        break;
      case 'self:flush-due':
        state.flush = undefined;
        flush(state);
        break;
      case 'drain':
        flush(state);
        message.replyTo.tell({ type: 'drained' });
        break;
    }
    return state;
  }

  /** J1, J2 */
  function countRuns(
    state: PluginJournalState,
    { plugin, successes, failures }: Extract<PluginJournalMessage, { type: 'count-runs' }>,
    ctx: Context,
  ): void {
    const nowMs = ctx.clock.now();
    let untold = 0;
    for (const run of failures) {
      if (state.errorPace.take(plugin.pluginConfigId, nowMs)) state.tallies.fail(plugin, run, state.nextId(nowMs), nowMs);
      else untold += 1;
    }
    state.tallies.count(plugin, successes, untold, nowMs);
    if (state.tallies.keyCount > options.maxKeysCount) flush(state);
    else state.flush ??= ctx.after(options.flushEveryMs, { type: 'self:flush-due' });
  }

  function flush(state: PluginJournalState): void {
    state.flush?.cancel();
    state.flush = undefined;
    const rows = state.tallies.take();
    if (rows.length > 0 && !send(rows)) {
      const fields = { count: rows.length };
      stateFact('log-written', { level: 'warn', message: 'App metrics were lost with the writer that was to store them.', fields });
    }
  }

  /** J3, J4 */
  function logLines(
    state: PluginJournalState,
    { plugin, source, lines, lostCount }: Extract<PluginJournalMessage, { type: 'log-lines' }>,
    ctx: Context,
  ): void {
    const nowMs = ctx.clock.now();
    const pace = source === 'CONSOLE' ? state.consolePace : state.ownPace;
    const rows: SideRow[] = [];
    const unsent = { lost: lostCount, long: 0, rate: 0 };
    for (const line of lines) {
      if (!passesLevel(line.type, plugin.logLevel, options.defaultLogLevel)) continue;
      if (line.message.length > MAX_MESSAGE_CHARS) unsent.long += 1;
      else if (!pace.take(plugin.pluginConfigId, nowMs)) unsent.rate += 1;
      else rows.push(state.lines.row(plugin, source, line, nowMs));
    }
    const isSent = rows.length === 0 || send(rows);
    const sent = isSent ? rows.length : 0;
    state.sentCount += sent;
    state.unsentCount += unsent.lost + unsent.long + unsent.rate + rows.length - sent;
    const { pluginId } = plugin;
    stateFact('plugin-log-written', { pluginId, source, sent, ...unsent, refused: rows.length - sent });
  }

  /** False: the writer is gone, and this tree with it. */
  function send(rows: readonly SideRow[]): boolean {
    return rowWriter.tell({ type: 'store-side-rows', rows }) === 'accepted';
  }

  return {
    kind: 'plugin-journal',
    start,
    receive,
    stopping(state: PluginJournalState, reason: StopReason) {
      if (reason !== 'restarted' && reason !== 'budget-spent') flush(state); // J6
    },
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({ keys: state.tallies.keyCount, lines: state.sentCount, linesNotSent: state.unsentCount }),
  };
}

/** Version 7 uuids that sort as they were made: of one millisecond by a running number in the first 12 random bits. */
function timeOrderedIds(random: Random): (nowMs: number) => string {
  let lastMs = 0;
  let series = 0;
  return (nowMs) => {
    series = nowMs > lastMs ? 0 : series + 1;
    if (series > 0xfff) {
      series = 0;
      lastMs += 1;
    }
    lastMs = Math.max(lastMs, nowMs);
    const bytes = Uint8Array.from({ length: 10 }, () => Math.floor(random.next() * 256));
    bytes[0] = series >> 8;
    bytes[1] = series & 0xff;
    return uuidV7({ nowMs: lastMs, random: bytes });
  };
}
