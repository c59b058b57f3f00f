export { createPlugin, type PluginDeps } from './behavior.ts';
