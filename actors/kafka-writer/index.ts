export { createKafkaWriter } from './behavior.ts';
export type { KafkaWriterDeps, KafkaWriterOptions } from './options.ts';
