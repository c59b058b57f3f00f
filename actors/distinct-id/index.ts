export type { DistinctIdDeps } from './asking.ts';
export { createDistinctId } from './behavior.ts';
export { isIdle } from './state.ts';
