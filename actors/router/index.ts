export { createRouter, type RouterDeps } from './behavior.ts';
export type { RouterOptions } from './state.ts';
export { createTeamCache, type TeamCache } from './team-cache.ts';
