export { createClickHouseWriter } from './behavior.ts';
export type { ClickHouseWriterDeps, ClickHouseWriterOptions } from './options.ts';
