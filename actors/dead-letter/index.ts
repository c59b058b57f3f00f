export { createDeadLetter, type DeadLetterDeps, type RecentDeadLetter } from './behavior.ts';
