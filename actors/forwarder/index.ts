export { createForwarder, type ForwarderDeps } from './behavior.ts';
