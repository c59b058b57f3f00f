/** What the tree is given: outside systems as ports, its numbers, and what it may tell the process. Every supervisor knows it, it knows none. */
import type { OverflowPolicy } from '../actors/router/index.ts';
import type { Team } from '../src/domain/team.ts';
import type { DropList } from '../src/domain/token.ts';
import type { Ledger } from '../src/kafka/ledger.ts';
import type { RecordConsumer, RecordProducer } from '../src/kafka/port.ts';
import type { DefinitionStore, GroupStore, PersonStore, PluginConfigStore, TeamStore } from '../src/postgres/port.ts';
import type { StateStore } from '../src/redis/port.ts';
import type { Clock, Random } from '../src/runtime/clock.ts';
import type { Sandbox } from '../src/sandbox/port.ts';
import type { Output } from './output.ts';
import type { TreeSettings } from './settings.ts';

/** What an intake reads, and how it is known outside. */
export interface IntakeSpec {
  /** PostHog's id of the service (spec 1.1), e.g. `analytics-ingestion`: in health checks, log lines and paths. */
  readonly name: string;
  /** A consumer of its topic and group, not yet started; a new one for each tree. */
  readonly createConsumer: () => RecordConsumer;
  readonly overflow: OverflowPolicy;
}

/** Everything the tree needs from outside; made by src/start, or by a simulation. */
export interface TroupeDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Where rows go (docs/adr/0018). */
  readonly output: Output;
  readonly persons: PersonStore;
  readonly groups: GroupStore;
  readonly teams: TeamStore;
  /** Undefined: names of events and properties are not kept, nor a team's first event (SKIP_UPDATE_EVENT_AND_PROPERTIES_STEP). */
  readonly definitions?: DefinitionStore;
  readonly pluginConfigs: PluginConfigStore;
  readonly sandbox: Sandbox;
  readonly stateStore: StateStore;
  /** For dead letters, and for records that are forwarded. */
  readonly producer: RecordProducer;
  /** One for each input topic. */
  readonly intakes: readonly IntakeSpec[];
  readonly dropList: DropList;
  /** The account of all records, over all partitions there ever were (src/telemetry/account.ts). */
  readonly accounts: { open(topic: string, ledger: Ledger): void; close(ledger: Ledger): void };
  readonly quota?: (team: Team, eventCount: number) => number;
  readonly settings: TreeSettings;
  /** The tree cannot be held up: the process should end with a failure. */
  readonly onFatal: (error: Error) => void;
}
