import type { TopicPartition } from '../domain/ids.ts';
import { keyOf } from './membership.ts';

/** The client's switch of one partition. */
export interface FetchSwitch {
  pause(of: TopicPartition): void;
  resume(of: TopicPartition): void;
}

/**
 * Which partitions of a generation are not to be fetched now, and why: their batch is not accepted, they were set aside because that
 * took long (C3), or the caller paused them. The client is told of the last two alone; it fetches again when neither holds.
 */
export interface Holds {
  handedOver(of: TopicPartition): void;
  accepted(of: TopicPartition): void;
  setAside(of: TopicPartition): void;
  pause(of: TopicPartition): void;
  resume(of: TopicPartition): void;
  isHeld(of: TopicPartition): boolean;
  /** A new generation begins with none. */
  clear(): void;
}

export function createHolds(client: FetchSwitch): Holds {
  const unaccepted = new Set<string>();
  const aside = new Set<string>();
  const paused = new Set<string>();

  return {
    handedOver: ({ topic, partition }) => void unaccepted.add(keyOf(topic, partition)),
    accepted(of) {
      const key = keyOf(of.topic, of.partition);
      unaccepted.delete(key);
      if (aside.delete(key) && !paused.has(key)) client.resume(of);
    },
    setAside(of) {
      aside.add(keyOf(of.topic, of.partition));
      client.pause(of);
    },
    pause(of) {
      paused.add(keyOf(of.topic, of.partition));
      client.pause(of);
    },
    resume(of) {
      const key = keyOf(of.topic, of.partition);
      if (paused.delete(key) && !aside.has(key)) client.resume(of);
    },
    isHeld({ topic, partition }) {
      const key = keyOf(topic, partition);
      return unaccepted.has(key) || aside.has(key) || paused.has(key);
    },
    clear() {
      for (const key of new Set([...aside, ...paused])) {
        const at = key.lastIndexOf('/');
        client.resume({ topic: key.slice(0, at), partition: Number(key.slice(at + 1)) });
      }
      aside.clear();
      paused.clear();
      unaccepted.clear();
    },
  };
}
