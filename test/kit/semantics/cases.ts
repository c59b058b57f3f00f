import type { SemanticCase } from './case.ts';
import { FLAGS } from './flags.ts';
import { NORMALISED } from './normalised.ts';
import { OTHERS } from './others.ts';
import { TIMES } from './times.ts';

/** What events mean: the vectors of spec/ingestion.md, sections 1 and 2, and of its sharp edges. */
export const SEMANTIC_CASES: readonly SemanticCase[] = [...TIMES, ...NORMALISED, ...FLAGS, ...OTHERS];
