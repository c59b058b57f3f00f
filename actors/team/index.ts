export { createTeam, isTeamIdle, type TeamDeps } from './behavior.ts';
