export { createPrefetch, type Prefetch } from './prefetch.ts';
export { createPersonWriter, type PersonWriterDeps } from './behavior.ts';
