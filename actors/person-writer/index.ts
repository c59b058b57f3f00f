export { createPersonWriter, type PersonWriterDeps } from './behavior.ts';
