export type { RunnablePlugin } from './reports.ts';
export { createPlugin, type PluginDeps } from './behavior.ts';
