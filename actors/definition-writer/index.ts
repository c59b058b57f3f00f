export { createDefinitionWriter, type DefinitionWriterDeps } from './behavior.ts';
