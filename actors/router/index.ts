export { createRouter } from './behavior.ts';
export type { RouterDeps } from './shared.ts';
export { KEEP, type OverflowPolicy } from './overflow.ts';
export type { RouterOptions } from './state.ts';
export { createTeamCache, type TeamCache } from './team-cache.ts';
