export { createPluginJournal, type PluginJournalDeps, type PluginJournalOptions } from './behavior.ts';
