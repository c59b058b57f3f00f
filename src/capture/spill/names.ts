import { join } from 'node:path';

/**
 * Names in a spill directory. All that a process must know of the others stands in names, because a rename is the one thing that a file
 * system decides for all who share it at once:
 *
 *     <instance>~<life>/                     of a life of a process: `~owner` (who it is; its time is the sign of life)
 *         <topic>/<number>.segment           frames, oldest number first; being written, or waiting for Kafka
 *         <topic>/<number>.kept              acknowledged as far as it can be: the rest is for a person to look at
 *     <instance>~<life>@<instance>~<life>/   what the first one left, adopted by the second one
 */
export interface FolderName {
  /** Whose process wrote it. */
  readonly origin: string;
  /** Whose process may replay it: the origin, or who adopted it. */
  readonly owner: string;
}

const LIFE = /^[\w.-]+~[\w-]+$/;
const SEGMENT = /^(\d{8,})\.(segment|kept)$/;
/** A topic, as Kafka allows them: also a file name that leads nowhere else. */
const TOPIC = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;

export const isTopicName = (name: string): boolean => TOPIC.test(name);

/** The name of one life of a process; `life` is different each time. */
export function lifeName(instance: string, life: string): string {
  return `${instance.replace(/[^\w.-]/g, '-').slice(0, 100)}~${life}`;
}

/** Undefined when it is no folder of the spill. */
export function parseFolder(name: string): FolderName | undefined {
  const [origin = '', owner = origin, more] = name.split('@');
  return more === undefined && LIFE.test(origin) && LIFE.test(owner) ? { origin, owner } : undefined;
}

/** The name that a folder has in the hands of another owner. */
export const adoptedName = ({ origin }: FolderName, owner: string): string => `${origin}@${owner}`;

/** A file of records of one topic. */
export interface SegmentName {
  readonly number: number;
  readonly state: 'segment' | 'kept';
}
export function parseSegment(name: string): SegmentName | undefined {
  const [, digits, state] = SEGMENT.exec(name) ?? [];
  return digits === undefined ? undefined : { number: Number(digits), state: state === 'kept' ? 'kept' : 'segment' };
}
export const segmentName = (number: number, state: SegmentName['state'] = 'segment'): string =>
  `${String(number).padStart(8, '0')}.${state}`;

/** In a life's folder; no topic can have this name. */
export const OWNER_FILE = '~owner';
export const ownerFile = (dir: string, life: string): string => join(dir, life, OWNER_FILE);
