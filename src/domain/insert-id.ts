import type { TopicPartition } from './ids.ts';

/**
 * Names of inserts. Every block of event rows names the partitions and generations whose rows it holds, so that a new
 * owner of a partition can look for what an old one still has on its way, and end it (delivery.md section 3).
 *
 *     troupe:events_plugin_ingestion:3:17|troupe:events_plugin_ingestion:5:17|<nonce>
 *
 * Kafka allows neither ':' nor '|' in the name of a topic.
 */
const SEPARATOR = '|';

/** What the name of any insert with rows of this partition holds, whatever the generation: at its start or after a '|'. */
export function insertPrefix({ topic, partition }: TopicPartition): string {
  return `troupe:${topic}:${partition}:`;
}

/** The name of one insert. `nonce` tells it from every other one, also of other processes. */
export function insertId(sources: Iterable<TopicPartition & { readonly generation: number }>, nonce: string): string {
  let id = '';
  for (const source of sources) id += `${insertPrefix(source)}${source.generation}${SEPARATOR}`;
  return id + nonce;
}

/** Whether the insert named `id` has a part that begins with `prefix`; the whole name begins with itself. */
export function isNamed(id: string, prefix: string): boolean {
  return id.startsWith(prefix) || id.includes(SEPARATOR + prefix);
}
