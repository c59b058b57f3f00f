import type { IntakeSpec, TroupeDeps } from '../../supervisors/deps.ts';
import { startTroupe, type Troupe } from '../../supervisors/root.ts';
import type { Stores } from './assemble.ts';
import type { Closers } from './closers.ts';
import { capabilitiesOf, type IntakeName } from '../config/modes.ts';
import type { Config } from '../config/schema.ts';
import { createOverflowLimiter } from '../domain/overflow.ts';
import { createInspectionHandler } from '../http/inspection.ts';
import { listen } from '../http/listen.ts';
import type { Checks } from '../http/server.ts';
import { createInspectionSource } from './inspection-source.ts';
import { startLagWatch } from './lag-watch.ts';
import { openGeoIp } from './open-geoip.ts';
import type { Log } from './open-log.ts';
import { createDefinitionStore } from '../postgres/definition-store.ts';
import { createGroupStore } from '../postgres/group-store.ts';
import { localPluginReader } from '../postgres/local-plugins.ts';
import { createPersonStore } from '../postgres/person-store.ts';
import { createPluginConfigStore } from '../postgres/plugin-config-store.ts';
import { createTeamStore } from '../postgres/team-store.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import { createSandbox } from '../sandbox/host.ts';
import type { Accounts } from '../telemetry/account.ts';
import { startPreflight } from './preflight.ts';
import { liveDropList } from './reload/live-drop-list.ts';
import type { ReloadTarget } from './reload/reloader.ts';
import { intakeIdentity, topicsOf } from './topics.ts';
import { treeSettings } from './tree-settings.ts';

export interface IngestionOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly closers: Closers;
  readonly accounts: Accounts;
  readonly log: Log;
  readonly stores: Stores;
  /** The tree cannot be held up: the process should end with a failure. */
  readonly onFatal: (error: Error) => void;
  /** Of Troupe. */
  readonly version: string;
  /** Told one line per part worth knowing of. */
  readonly say: (line: string) => void;
}

/** The tree of actors with what it needs beside the outside systems: stores, plugin sandbox, inspector. */
export interface Ingestion {
  readonly inspectorUrl: string;
  /** By service id of each intake (HT-1). */
  readonly health: Checks;
  readonly ready: Checks;
  readonly reloads: readonly ReloadTarget[];
  /** Plants the tree. Resolves when all its intakes have subscribed. */
  start(): Promise<void>;
}

export async function prepareIngestion(options: IngestionOptions): Promise<Ingestion> {
  const { config, clock, random, closers, log, stores } = options;
  const { clickhouse } = stores;
  const persons = createPersonStore(stores.postgres);
  const teams = createTeamStore(stores.postgres);
  const geoip = await openGeoIp({ config, postgres: stores.postgres, clock, closers });
  if (geoip !== undefined) options.say(geoip.summary);
  const sandbox = createSandbox({ clock, memoryLimitMb: config.plugins.memoryMb, geoipPort: geoip?.port });
  closers.push('the plugin sandbox', () => sandbox.close());
  let troupe: Troupe | undefined;

  const inspection = createInspectionSource({
    troupe: () => troupe,
    clickhouse,
    persons,
    teams,
    admin: log.admin,
    inputTopic: topicsOf(config).main,
    clock,
  });
  closers.push('the inspection source', () => inspection.stop());
  const inspector = await listen({
    handle: createInspectionHandler({ source: inspection }),
    host: config.server.inspectHost,
    port: config.server.inspectPort,
    clock,
    name: 'the inspector',
    hostSetting: 'TROUPE_INSPECT_HOST',
    portSetting: 'TROUPE_INSPECT_PORT',
  });
  closers.push('the inspector', () => inspector.close(1_000));

  const dropList = liveDropList(config);
  const { intakes, preflight } = capabilitiesOf(config.server.mode, config.server.pipeline);
  const deps: TroupeDeps = {
    clock,
    random,
    output: stores.output,
    persons,
    ...(config.ingestion.skipDefinitions ? {} : { definitions: createDefinitionStore(stores.postgres) }),
    groups: createGroupStore(stores.postgres, { clock }),
    teams,
    pluginConfigs: createPluginConfigStore(stores.postgres, { readLocalPlugin: localPluginReader(config.plugins.baseDir) }),
    sandbox,
    stateStore: stores.stateStore,
    producer: log.producer,
    intakes: intakes.map((intake) => intakeSpec(config, log, intake)),
    dropList: dropList.list,
    accounts: options.accounts,
    settings: treeSettings(config),
    onFatal: options.onFatal,
  };

  const services = intakes.map((intake) => intakeIdentity(config, intake).service);
  const checks = (check: (service: string) => boolean): Checks => Object.fromEntries(services.map((name) => [name, () => check(name)]));
  const stateOf = (service: string) =>
    troupe
      ?.tree()
      .intakes.services()
      .find(({ name }) => name === service);

  return {
    inspectorUrl: `http://127.0.0.1:${inspector.port}`,
    // Alive while it starts: a start that fails ends the process, and one that takes long must not be ended by a probe.
    health: checks((service) => stateOf(service)?.healthy ?? true),
    ready: {
      ...checks((service) => stateOf(service)?.ready === true && stateOf(service)?.healthy === true),
      ...(clickhouse === undefined ? {} : { clickhouse: () => clickhouse.ping().then(() => true) }),
      postgres: () => teams.byId([]).then(() => true),
    },
    reloads: [dropList.target],
    async start() {
      const planted = await startTroupe(deps);
      troupe = planted;
      closers.push('the actors', () => planted.stop());
      const lag = startLagWatch({ ledgers: () => planted.tree().intakes.ledgers(), admin: log.admin, clock });
      closers.push('the lag watch', () => lag.stop());
      if (!preflight || config.redis.url === undefined) return; // without Redis nobody could read it
      const told = startPreflight({ store: stores.stateStore, clock, version: options.version });
      closers.push('the preflight', () => told.stop());
    },
  };
}

/** Which topic, in which group, and what is done about keys with too many events (spec 1.6). */
function intakeSpec(config: Config, log: Log, intake: IntakeName): IntakeSpec {
  const { service, topic, groupId } = intakeIdentity(config, intake);
  return { name: service, createConsumer: () => log.createConsumer({ topic, groupId }), overflow: overflowPolicy(config, intake) };
}

function overflowPolicy(config: Config, intake: IntakeName): IntakeSpec['overflow'] {
  const { overflowEnabled, overflowKeepsKeys, overflowByDistinctId, overflowBucketCount, overflowReplenishPerS } = config.ingestion;
  if (intake === 'overflow') return { type: 'warn', per: overflowByDistinctId ? 'group' : 'event' };
  if (intake !== 'main' || !overflowEnabled) return { type: 'keep' };
  return {
    type: 'redirect',
    topic: topicsOf(config).overflow,
    key: overflowKeepsKeys ? 'original' : 'none',
    limiter: createOverflowLimiter({ capacityCount: overflowBucketCount, replenishPerSecond: overflowReplenishPerS }),
  };
}
