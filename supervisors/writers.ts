import { createDefinitionWriter } from '../actors/definition-writer/index.ts';
import type { DefinitionSink } from '../actors/definition-writer/messages.ts';
import { createDeadLetter } from '../actors/dead-letter/index.ts';
import type { DeadLetterMessage } from '../actors/dead-letter/messages.ts';
import { createForwarder } from '../actors/forwarder/index.ts';
import type { ForwarderMessage } from '../actors/forwarder/messages.ts';
import { createPersonWriter } from '../actors/person-writer/index.ts';
import type { PersonWriterMessage } from '../actors/person-writer/messages.ts';
import { createRedisBuffer } from '../actors/redis-buffer/index.ts';
import type { RedisBufferMessage, Warning } from '../actors/redis-buffer/messages.ts';
import type { RowWriterMessage } from '../actors/row-writer/messages.ts';
import type { Drain, Drained } from '../src/runtime/drain.ts';
import type { ActorRef, AnyRef } from '../src/runtime/ref.ts';
import type { ActorSystem } from '../src/runtime/system.ts';
import type { SideRow } from '../src/domain/rows.ts';
import { KnownDefinitions } from '../src/domain/known-definitions.ts';
import { DEFINITION_WRITER_STRATEGY, WRITER_STRATEGY } from './budgets.ts';
import { startRowWriter } from './output.ts';
import { startPluginJournal, type PluginJournal } from './plugin-journal.ts';
import type { TroupeDeps } from './deps.ts';

export interface Writers {
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly forwarder: ActorRef<ForwarderMessage>;
  readonly rowWriter: ActorRef<RowWriterMessage>;
  readonly pluginJournal: PluginJournal;
  readonly redisBuffer: ActorRef<RedisBufferMessage>;
  readonly personWriter: ActorRef<PersonWriterMessage>;
  /** Undefined where no names are kept (SKIP_UPDATE_EVENT_AND_PROPERTIES_STEP). */
  readonly definitions: DefinitionSink | undefined;
  /** Resolves when nothing is left to write, in the order in which one feeds the other. */
  drain(limitMs: number): Promise<void>;
}

/** Sinks in start order: each needs those before it. They stop in the reverse order. */
export function startWriters(
  system: ActorSystem,
  deps: TroupeDeps,
  mayWrite: (topic: string, partition: number, generation: number) => boolean,
  onEscalate: (ref: AnyRef, error: unknown) => void,
  ingested: (teamIds: readonly number[]) => void,
): Writers {
  const { clock, settings } = deps;
  const parent = system.parent('writers');
  // Every message to a writer stands for at least one event in flight, and those are bounded by the routers' credit.
  const mailboxCapacityCount = settings.writerMailboxCount;

  // Dead letters of events become rows, and rows become dead letters: by the time there is one, both writers are there.
  const tellRows = (rows: readonly SideRow[]): void => void rowWriter.tell({ type: 'store-side-rows', rows });
  const deadLetter = system.spawn(
    createDeadLetter({
      producer: deps.producer,
      tellRows,
      options: { ...settings.deadLetter, mailboxCapacityCount },
      strategy: WRITER_STRATEGY,
    }),
    'dead-letter',
    parent,
    onEscalate,
  );
  const forwarder = system.spawn(
    createForwarder({ producer: deps.producer, deadLetter, options: { mailboxCapacityCount }, strategy: WRITER_STRATEGY }),
    'forwarder',
    parent,
    onEscalate,
  );
  // It warns through the buffer that stores its warnings through it: by the time a row comes, both are there.
  const warn = (told: Warning): void => void redisBuffer.tell({ type: 'warn', warning: told });
  const rowWriter: ActorRef<RowWriterMessage> = startRowWriter(deps.output, {
    system,
    parent,
    clock,
    settings,
    deadLetter,
    warn,
    mayWrite,
    onEscalate,
  });
  const pluginJournal = startPluginJournal(system, deps, rowWriter, parent);
  const redisBuffer: ActorRef<RedisBufferMessage> = system.spawn(
    createRedisBuffer({
      store: deps.stateStore,
      rowWriter,
      options: { ...settings.redisBuffer, mailboxCapacityCount },
      strategy: WRITER_STRATEGY,
    }),
    'redis-buffer',
    parent,
    onEscalate,
  );
  const personWriter = system.spawn(
    createPersonWriter({
      persons: deps.persons,
      groups: deps.groups,
      rowWriter,
      mayWrite,
      options: { ...settings.personWriter, mailboxCapacityCount },
      strategy: WRITER_STRATEGY,
    }),
    'person-writer',
    parent,
    onEscalate,
  );

  const definitions = startDefinitions();

  function startDefinitions(): DefinitionSink | undefined {
    if (deps.definitions === undefined) return undefined;
    const { knownCount, ...options } = settings.definitions;
    const known = new KnownDefinitions(knownCount);
    const spec = createDefinitionWriter({
      store: deps.definitions,
      clock,
      forget: () => known.clear(),
      ingested,
      options: { ...options, mailboxCapacityCount },
      strategy: DEFINITION_WRITER_STRATEGY,
    });
    return { known, writer: system.spawn(spec, 'definition-writer', parent, onEscalate) };
  }

  return {
    deadLetter,
    forwarder,
    rowWriter,
    pluginJournal,
    redisBuffer,
    personWriter,
    definitions,
    async drain(limitMs) {
      const deadline = clock.monotonic() + limitMs;
      const left = (): number => Math.max(1, deadline - clock.monotonic());
      const drain = (writer: ActorRef<Drain>): Promise<Drained> =>
        system.ask<Drain, Drained>(writer, (replyTo) => ({ type: 'drain', replyTo }), left());
      await drain(personWriter);
      await drain(redisBuffer);
      // One in quarantine answers nobody, and has nothing to write: the writers that have go on.
      await Promise.allSettled([drain(pluginJournal.ref)]);
      await drain(rowWriter);
      await drain(forwarder);
      await drain(deadLetter);
      // Last: nobody needs it, so it may have what time is left.
      if (definitions !== undefined) await drain(definitions.writer);
    },
  };
}
