import type { Config } from '../config/schema.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

/** What whoever opens an outside system is given. */
export interface AssembleDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly closers: Closers;
  /** An embedded server ended without being asked: the process cannot go on. */
  readonly onLost: (what: string, detail: string) => void;
  /** Add to existing tables of PostgreSQL and ClickHouse what they lack (`--migrate`); otherwise it is an error that names the statement. */
  readonly migrate: boolean;
  /** Told one line per system: what it is and where. */
  readonly say: (line: string) => void;
}
