import type { Problem } from './problem.ts';
import type { Config } from './schema.ts';

/** Something that must hold between settings. */
export interface Rule {
  /** The rule in one sentence, for the documentation. */
  readonly prose: string;
  readonly check: (config: Config) => Problem | undefined;
}
