import { messageOf } from '../../domain/strings.ts';
import { brokenRules, ConfigError, type LoadedConfig } from '../../config/load.ts';
import { changesBetween, withReloadable, type ConfigChange } from '../../config/compare.ts';
import type { Problem } from '../../config/problem.ts';
import type { Config } from '../../config/schema.ts';
import { state } from '../../observe/facts.ts';

/** Who wants the settings to be read again. */
export interface ReloadCause {
  readonly by: 'file' | 'signal' | 'admin';
  /** For people: the file, the signal, the name of the token. */
  readonly who: string;
  readonly address?: string | undefined;
}

/** A part of the process that takes other settings while it runs. */
export interface ReloadTarget {
  readonly name: string;
  /**
   * Makes ready what `next` asks for, without any effect yet. The function that it resolves to puts it into force: at once, and without
   * failing. Rejects when these settings cannot be had.
   */
  readonly prepare: (next: Config, running: Config) => Promise<() => void> | (() => void);
}

/** What became of a reload. `unchanged`: nothing that can be reloaded was another. */
export interface ReloadReport {
  readonly outcome: 'applied' | 'unchanged' | 'refused';
  /** Counts the sets of settings that were in force; 1 is the one of the start. */
  readonly generation: number;
  readonly applied: readonly ConfigChange[];
  /** What is set and not in force, since the start: it needs a restart. */
  readonly waiting: readonly ConfigChange[];
  readonly problems: readonly Problem[];
}

export interface Reloader {
  /** Never rejects for what the settings hold. One at a time; a later one waits, and reads after it. */
  readonly reload: (cause: ReloadCause) => Promise<ReloadReport>;
  /** The settings in force, and where each came from. */
  readonly current: () => LoadedConfig;
  readonly generation: () => number;
  /** What the last reload found to need a restart. */
  readonly waiting: () => readonly ConfigChange[];
  /** Waits for the one that runs; none begins after it. */
  readonly close: () => Promise<void>;
}

export interface ReloaderOptions {
  readonly running: LoadedConfig;
  /** Reads all settings again, from wherever they came. @throws ConfigError */
  readonly load: () => LoadedConfig;
  /** In the order in which they take the settings; all of them at one moment. */
  readonly targets: readonly ReloadTarget[];
  /** Called before settings are put into force, and after they were refused. When it rejects, they are refused. */
  readonly audit?: (cause: ReloadCause, report: ReloadReport) => Promise<void>;
}

/**
 * Role: replaces the settings of the running process, from whichever side that is asked for (docs/adr/0023).
 *
 *     resting ──reload──▶ reading ──▶ checking ──▶ preparing ──▶ swapping ──▶ resting, generation + 1
 *                            └───────────┴────────────┴──▶ refused: resting, as before
 *
 * R1 All or nothing: every target is ready before the first one swaps, and the swaps are one turn of the event loop.
 * R2 Whatever is wrong with the new settings, the old ones stay in force, whole, and it is said what was wrong.
 * R3 What needs a restart keeps the value of the start; the settings in force are checked together with it, not as they were wished.
 * R4 One reload at a time. What changed while one ran is seen by the next.
 * R5 Of equal causes that wait for their turn there is one: it will read what all of them mean. So a storm of signals is two reloads.
 */
export function createReloader({ running, load, targets, audit = () => Promise.resolve() }: ReloaderOptions): Reloader {
  let current = running;
  let generation = 1;
  let waiting: readonly ConfigChange[] = [];
  let last: Promise<unknown> = Promise.resolve();
  const waitingCauses = new Map<string, Promise<ReloadReport>>();
  let isClosed = false;

  async function attempt(cause: ReloadCause): Promise<ReloadReport> {
    if (isClosed)
      return refuse(cause, [{ name: 'reload', value: undefined, allowed: 'a process that goes on', todo: 'it is about to stop' }]);
    const read = readAgain(load);
    if (read.type === 'wrong') return refuse(cause, read.problems);

    const changes = changesBetween(current.config, read.wanted.config);
    const applied = changes.filter(({ isReloadable }) => isReloadable);
    const left = changes.filter(({ isReloadable }) => !isReloadable);
    const next = mixed(current, read.wanted, left);
    const broken = left.length === 0 ? [] : brokenRules(next.config).map((problem) => untilRestart(problem, left)); // R3
    if (broken.length > 0) return refuse(cause, broken);

    const swaps: (() => void)[] = [];
    for (const { name, prepare } of applied.length === 0 ? [] : targets) {
      try {
        swaps.push(await prepare(next.config, current.config));
      } catch (error) {
        return refuse(cause, [problemOf(name, 'settings that it can take', error)]);
      }
    }
    const isOther = applied.length > 0;
    const report: ReloadReport = {
      outcome: isOther ? 'applied' : 'unchanged',
      generation: isOther ? generation + 1 : generation,
      applied,
      waiting: left,
      problems: [],
    };
    try {
      await audit(cause, report);
    } catch (error) {
      return tellRefused(cause, [auditProblem(error)]);
    }
    for (const swap of swaps) swap(); // R1
    [current, generation, waiting] = [next, report.generation, left];
    state('config-reloaded', { by: cause.by, who: cause.who, generation, applied: namesOf(applied), waiting: namesOf(left) });
    state('config-in-force', { generation, waiting: left.length });
    return report;
  }

  /** R2 */
  function tellRefused(cause: ReloadCause, problems: readonly Problem[]): ReloadReport {
    state('config-refused', { by: cause.by, who: cause.who, generation, problems: problems.map(lineOf) });
    return { outcome: 'refused', generation, applied: [], waiting, problems };
  }
  async function refuse(cause: ReloadCause, problems: readonly Problem[]): Promise<ReloadReport> {
    try {
      await audit(cause, { outcome: 'refused', generation, applied: [], waiting, problems });
      return tellRefused(cause, problems);
    } catch (error) {
      return tellRefused(cause, [...problems, auditProblem(error)]);
    }
  }

  state('config-in-force', { generation, waiting: 0 });
  return {
    reload(cause) {
      const key = JSON.stringify([cause.by, cause.who, cause.address]);
      const equal = waitingCauses.get(key); // R5
      if (equal !== undefined) return equal;
      const attempted = last.then(() => {
        waitingCauses.delete(key);
        return attempt(cause);
      });
      waitingCauses.set(key, attempted);
      last = attempted.catch(() => undefined);
      return attempted;
    },
    current: () => current,
    generation: () => generation,
    waiting: () => waiting,
    async close() {
      isClosed = true;
      await last;
    },
  };
}

function readAgain(load: () => LoadedConfig): { type: 'read'; wanted: LoadedConfig } | { type: 'wrong'; problems: readonly Problem[] } {
  try {
    return { type: 'read', wanted: load() };
  } catch (error) {
    if (error instanceof ConfigError) return { type: 'wrong', problems: error.problems };
    throw error;
  }
}

/** R3: what is to be in force, with where each value came from. */
function mixed(current: LoadedConfig, wanted: LoadedConfig, left: readonly ConfigChange[]): LoadedConfig {
  const origins = new Map(wanted.origins);
  for (const { name } of left) origins.set(name, current.origins.get(name) ?? 'default');
  return { config: withReloadable(current.config, wanted.config), origins, notices: wanted.notices };
}

const namesOf = (changes: readonly ConfigChange[]): readonly string[] => changes.map(({ name }) => name);

const untilRestart = (problem: Problem, left: readonly ConfigChange[]): Problem => ({
  ...problem,
  todo: `${problem.todo}; or restart, because until then ${namesOf(left).join(', ')} is as it was at the start`,
});

const problemOf = (name: string, allowed: string, error: unknown): Problem => ({
  name,
  value: undefined,
  allowed,
  todo: messageOf(error),
});

const auditProblem = (error: unknown): Problem => problemOf('the audit log', 'a file that takes lines', error);

/** A problem in one line. */
export const lineOf = ({ name, value, place, allowed, todo }: Problem): string =>
  `${name}${value === undefined ? '' : ` ${value}`}${place === undefined ? '' : ` (${place})`}: ${todo}; allowed: ${allowed}`;
