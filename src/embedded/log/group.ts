import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { TopicPartition } from '../../domain/ids.ts';
import { replaceFile } from './files.ts';

/**
 * Role: what is durable of one consumer group: its generation, the topics it reads, its watermarks.
 *
 * I1 A commit resolved means that a restart finds it. Commits that arrive while the file is being replaced share the next replacement.
 * I2 The generation never repeats: it is raised durably before anybody is told of it.
 * I3 The file is whole or the one before (replaced by rename, with a sum); a wrong sum is an error, never an empty group.
 */
export interface GroupStore {
  readonly groupId: string;
  generation(): number;
  committed(topic: string, partition: number): number | undefined;
  /** True when the group once subscribed to the topic: retention must then wait for it. */
  reads(topic: string): boolean;
  commit(watermarks: readonly (TopicPartition & { readonly offset: number })[]): Promise<void>;
  /** Raises the generation and notes the topics. Resolves to the new generation. */
  beginGeneration(topics: readonly string[]): Promise<number>;
}

interface Content {
  readonly groupId: string;
  readonly generation: number;
  readonly watermarks: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Opens the group's file in `dir`; a group that is new begins with generation 0. */
export async function openGroup(dir: string, groupId: string): Promise<GroupStore> {
  const path = join(dir, `${Buffer.from(groupId).toString('base64url')}.json`);
  const stored = await load(path);
  let generation = stored?.generation ?? 0;
  const byTopic = new Map<string, Map<number, number>>();
  for (const [topic, offsets] of Object.entries(stored?.watermarks ?? {})) {
    byTopic.set(topic, new Map(Object.entries(offsets).map(([partition, offset]) => [Number(partition), offset])));
  }

  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;
  /** Writes the state as it is when the turn comes, so that all who asked before then share one replacement. */
  function store(): Promise<void> {
    if (next !== undefined) return next;
    const turn = writing.then(() => {
      next = undefined;
      return replaceFile(path, withSum({ groupId, generation, watermarks: toRecord(byTopic) }));
    });
    next = turn;
    writing = turn.catch(() => undefined);
    return turn;
  }

  return {
    groupId,
    generation: () => generation,
    committed: (topic, partition) => byTopic.get(topic)?.get(partition),
    reads: (topic) => byTopic.has(topic),
    commit(watermarks) {
      for (const { topic, partition, offset } of watermarks) {
        const offsets = byTopic.get(topic) ?? new Map<number, number>();
        byTopic.set(topic, offsets.set(partition, offset));
      }
      return store();
    },
    async beginGeneration(topics) {
      for (const topic of topics) if (!byTopic.has(topic)) byTopic.set(topic, new Map());
      const begun = ++generation;
      await store();
      return begun;
    },
  };
}

/** The group that a file name in the groups' directory belongs to; undefined for other files. */
export function groupOfFile(name: string): string | undefined {
  return name.endsWith('.json') ? Buffer.from(name.slice(0, -'.json'.length), 'base64url').toString() : undefined;
}

function withSum(content: Content): string {
  const text = JSON.stringify(content);
  return `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;
}

async function load(path: string): Promise<Content | undefined> {
  let line: string;
  try {
    line = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const text = line.slice(9, -1);
  if (crc32(text) !== parseInt(line.slice(0, 8), 16)) {
    throw new Error(`the watermarks in ${path} are damaged: wrong check sum. Without the file the group reads every record again`);
  }
  return JSON.parse(text) as Content;
}

function toRecord(byTopic: ReadonlyMap<string, ReadonlyMap<number, number>>): Record<string, Record<string, number>> {
  return Object.fromEntries([...byTopic].map(([topic, offsets]) => [topic, Object.fromEntries(offsets)]));
}
