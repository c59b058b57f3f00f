export { createDistinctId, type DistinctIdDeps } from './behavior.ts';
export { isIdle } from './state.ts';
