export { createRouter, type RouterDeps, type RouterOptions } from './behavior.ts';
export { createTeamCache, type TeamCache } from './team-cache.ts';
