export type { RunnablePlugin } from './reports.ts';
export { createPlugin } from './behavior.ts';
export type { PluginDeps } from './options.ts';
