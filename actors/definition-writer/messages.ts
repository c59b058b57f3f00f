import type { Definitions } from '../../src/domain/definitions.ts';
import type { KnownDefinitions } from '../../src/domain/known-definitions.ts';
import type { Drain } from '../../src/runtime/drain.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';

export type DefinitionWriterMessage =
  /** Names that may be new, of one group of stored events. Fire and forget (D-8). */
  | { readonly type: 'definitions-seen'; readonly definitions: Definitions }
  /** A team that had no event so far has one (F-1). */
  | { readonly type: 'first-event-seen'; readonly teamId: number }
  | Drain
  | { readonly type: 'self:flush' }
  | { readonly type: 'self:flushed'; readonly error: unknown };

/** Where names go, and what lately went there: all that whoever makes rows needs. */
export interface DefinitionSink {
  readonly known: KnownDefinitions;
  readonly writer: ActorRef<DefinitionWriterMessage>;
}
