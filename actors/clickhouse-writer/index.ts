export { createClickHouseWriter, type ClickHouseWriterDeps, type ClickHouseWriterOptions } from './behavior.ts';
