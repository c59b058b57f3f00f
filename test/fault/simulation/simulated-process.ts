/** One process: a whole Troupe on a host of its own. */
import { createAccounts, type Account, type AccountedLedger, type Accounts } from '../../../src/telemetry/account.ts';
import type { Ledger, LedgerSnapshot } from '../../../src/kafka/ledger.ts';
import type { TroupeDeps } from '../../../supervisors/deps.ts';
import { startTroupe, type Troupe } from '../../../supervisors/root.ts';
import type { Checks } from './checks.ts';
import { createHost, type Host } from './host.ts';
import type { Network } from './network.ts';
import { SETTINGS } from './settings.ts';
import { portsOf, type Systems } from './systems.ts';

export interface SimulatedProcess {
  readonly host: Host;
  /** Its orderly stop was asked for. */
  readonly isStopping: boolean;
  readonly isStopped: boolean;
  isQuiescent(): boolean;
  stop(): void;
  /** One of its actors crashes, as by a bug: the tree is built anew. */
  stumble(at: (typeof STUMBLING)[number]): void;
  /** The account and the bounds of this moment. */
  check(): void;
}

/** Below the budget of a tree (supervisors/budgets.ts). */
const MOST_STUMBLES = 3;
export const STUMBLING = ['row-writer', 'person-writer', 'dead-letter'] as const;
export const STUMBLE = 'stumbled on purpose';

/** Wraps the deps of every process: where a bug is planted. */
export type Plant = (deps: TroupeDeps) => TroupeDeps;

export function startProcess(
  name: string,
  network: Network,
  systems: Systems,
  checks: Pick<Checks, 'report'>,
  plant: Plant | undefined,
): SimulatedProcess {
  let troupe: Troupe | undefined;
  let isStopping = false;
  let isStopped = false;
  let stumbles = 0;
  const host = createHost(name, network, () => troupe?.kill());
  const ledgers = new Set<AccountedLedger>();
  const accounts = createAccounts();
  const watched: Accounts = {
    open(topic, ledger) {
      ledgers.add(ledger);
      accounts.open(topic, ledger);
    },
    close(ledger) {
      checkLedger(ledger as Ledger);
      ledgers.delete(ledger);
      accounts.close(ledger);
    },
    read: accounts.read,
  };
  network.note(`${name} starts`);
  const ports = portsOf(host, systems, network, watched, (error) => checks.report('crash', `${name} gives up: ${error.message}`));
  startTroupe(plant === undefined ? ports : plant(ports)).then(
    (started) => {
      troupe = started;
      if (isStopping) stopNow();
    },
    (error: unknown) => checks.report('crash', `${name} does not start: ${String(error)}`),
  );

  function stopNow(): void {
    troupe?.stop().then(
      () => {
        isStopped = true;
        host.die();
      },
      (error: unknown) => checks.report('crash', `${name} does not stop: ${String(error)}`),
    );
  }

  function checkLedger(ledger: Ledger): void {
    const { duplicateCount, strayCount, partition, generation }: LedgerSnapshot = ledger.snapshot();
    if (duplicateCount > 0) checks.report('account', `${name}: ${duplicateCount} records of ${partition}@${generation} were settled twice`);
    if (strayCount > 0)
      checks.report('account', `${name}: ${strayCount} records of ${partition}@${generation} were settled and never read`);
  }

  function sumOf({ alreadyStored, outcomes, abandoned, inFlight }: Account): number {
    return alreadyStored + abandoned + inFlight + outcomes.reduce((sum, { count }) => sum + count, 0);
  }

  return {
    host,
    get isStopping() {
      return isStopping;
    },
    get isStopped() {
      return isStopped;
    },
    isQuiescent: () => troupe === undefined || !host.isAlive || troupe.tree().system.isQuiescent(),
    stop() {
      if (isStopping) return;
      isStopping = true;
      network.note(`${name} stops`);
      stopNow();
    },
    stumble(at) {
      if (troupe === undefined || !host.isAlive || stumbles >= MOST_STUMBLES) return;
      stumbles++;
      network.note(`${name} stumbles at ${at}`);
      const { writers } = troupe.tree();
      const bad = new Proxy({} as never, {
        get() {
          throw new Error(STUMBLE);
        },
      });
      if (at === 'row-writer') writers.rowWriter.tell({ type: 'store-events', rows: [bad] });
      else if (at === 'dead-letter') writers.deadLetter.tell({ type: 'dead-letter', records: [bad] });
      else writers.personWriter.tell({ type: 'self:round-ended', error: new Error(STUMBLE) });
    },
    check() {
      if (!host.isAlive || troupe === undefined) return;
      const account = accounts.read();
      if (account.read !== sumOf(account)) checks.report('account', `${name} read ${account.read} and accounts for ${sumOf(account)}`);
      for (const ledger of ledgers) checkLedger(ledger as Ledger);
      const { router, people } = SETTINGS;
      const tree = troupe.tree();
      // A group that was read within credit leaves as a whole, so the last one may reach beyond it by what a slice holds.
      const mostInFlight = router.creditCount + router.sliceCount;
      for (const { details } of tree.system.inspect.list({ kind: 'router' })) {
        if (Number(details['inFlight']) > mostInFlight) checks.report('bounds', `${name}: ${details['inFlight']} events in flight`);
        if (Number(details['pending']) > router.gapCount + router.creditCount)
          checks.report('bounds', `${name}: ${details['pending']} pending`);
      }
      const { activeCount } = tree.teams.people;
      if (activeCount > people.activeCount + people.inFlightCount) checks.report('bounds', `${name}: ${activeCount} distinct_id actors`);
    },
  };
}
