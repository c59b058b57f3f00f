import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { messageOf } from '../../domain/strings.ts';
import { state } from '../../observe/facts.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { SpillDisk } from './disk.ts';
import { fateOf, parseLife, type Life } from './life.ts';
import { adoptedName, lifeName, ownerFile, parseFolder, type FolderName } from './names.ts';

/**
 * Role: who may write and replay which folder of a spill directory that several processes share.
 *
 * States of a folder:
 *     held      its owner gives signs of life (or is a process of this machine that runs)
 *     orphaned  its owner is dead, silent for longer than its lease, or has gone in order
 *     adopted   renamed to `<origin>@<new owner>`, from then on held by the new owner's life
 *
 * N1 One rename decides: of all who want an orphan one gets it, the others find nothing to rename. An owner's name is in the path, so who lost
 *    a folder can neither read, nor remove, nor keep what is in it under the name it knew.
 * N2 Nobody is told that records are durable in a folder unless its owner file was there AFTER their fsync ({@link Ownership.isMine}): an adopter
 *    renames first, takes the owner file away, and reads then. So what was promised is read, and what is written into an adopted folder was
 *    not promised: its writer begins another life and writes it again.
 * N3 The owner file is there before the first segment, and from a life that ended in order it is gone, or its folder is.
 * N4 Nothing is made on the disk before the first folder is wanted.
 */
export interface Ownership {
  /** The life that this process writes under now; made at the first call, and anew after it was lost. */
  folder(): Promise<string>;
  /** N2. When it is not, the next call of `folder` begins another life. */
  isMine(folder: string): Promise<boolean>;
  /** Folders of dead lives that became ours by this call, by name. */
  adopt(): Promise<readonly string[]>;
  /** All folders. `unknown`: its owner has been silent for as long as we look, which is not long enough. */
  survey(): Promise<readonly SurveyedFolder[]>;
  /** Gives everything up, at once: others need not wait for the lease to end. */
  release(): Promise<void>;
}

export interface SurveyedFolder extends FolderName {
  readonly name: string;
  readonly state: 'mine' | 'held' | 'orphaned' | 'unknown';
}

export interface OwnershipOptions {
  readonly dir: string;
  readonly disk: SpillDisk;
  readonly clock: Clock;
  /** What is written of this process. */
  readonly life: Life;
}

/** What was seen of another life: its sign, and since when it is the same. Our own clock counts: those of two machines differ. */
interface Sighting {
  readonly touchedMs: number;
  readonly sinceMs: number;
  readonly hasChanged: boolean;
}

export function createOwnership({ dir, disk, clock, life }: OwnershipOptions): Ownership {
  let current: Promise<string> | undefined;
  let mine: string | undefined;
  let heartbeat: Timer | undefined;
  let lastBeatMs = Number.NEGATIVE_INFINITY;
  let released = false;
  const sightings = new Map<string, Sighting>();

  async function begin(): Promise<string> {
    const name = lifeName(life.instance, randomUUID().slice(0, 8));
    await disk.makeFolder(join(dir, name));
    await disk.put(ownerFile(dir, name), JSON.stringify(life));
    await disk.syncFolder(join(dir, name));
    await disk.syncFolder(dir);
    lastBeatMs = clock.monotonic();
    mine = name;
    schedule(name);
    return name;
  }

  function schedule(name: string): void {
    heartbeat?.cancel();
    heartbeat = clock.after(life.leaseMs / 5, () => {
      void beat(name).finally(() => {
        if (!released && mine === name) schedule(name);
      });
    });
  }

  /** A sign of life. False when the folder is not ours any more; a disk that does not answer is neither. */
  async function beat(name: string): Promise<boolean> {
    try {
      if (!(await disk.touch(ownerFile(dir, name), clock.now()))) {
        lose(name);
        return false;
      }
      lastBeatMs = clock.monotonic();
    } catch (error) {
      complain('The spill directory takes no sign of life.', error);
    }
    return true;
  }

  function lose(name: string): void {
    if (mine !== name) return;
    mine = current = undefined;
    heartbeat?.cancel();
    state('log-written', {
      level: 'warn',
      message: 'The spill was given up for dead and adopted; another life begins.',
      fields: { life: name },
    });
  }

  /** `orphaned`: the owner of a folder will never come back to it. */
  async function stateOf(owner: string): Promise<SurveyedFolder['state']> {
    if (owner === mine) return 'mine';
    const seen = await disk.look(ownerFile(dir, owner));
    if (seen === undefined) return 'orphaned'; // N3
    const other = parseLife(seen.content);
    const fate = other === undefined ? 'unknown' : await fateOf(other, life.space);
    if (fate !== 'unknown') return fate === 'dead' ? 'orphaned' : 'held';
    const now = clock.monotonic();
    const sighting = sightings.get(owner);
    if (sighting?.touchedMs !== seen.touchedMs) {
      sightings.set(owner, { touchedMs: seen.touchedMs, sinceMs: now, hasChanged: sighting !== undefined });
      return sighting === undefined ? 'unknown' : 'held';
    }
    if (now - sighting.sinceMs >= Math.max(life.leaseMs, other?.leaseMs ?? 0)) return 'orphaned';
    return sighting.hasChanged ? 'held' : 'unknown';
  }

  async function survey(): Promise<readonly SurveyedFolder[]> {
    const states = new Map<string, SurveyedFolder['state']>();
    const folders: SurveyedFolder[] = [];
    for (const name of await disk.list(dir)) {
      const folder = parseFolder(name);
      if (folder === undefined) continue;
      const found = states.get(folder.owner) ?? (await stateOf(folder.owner));
      states.set(folder.owner, found);
      folders.push({ name, ...folder, state: found });
    }
    for (const owner of sightings.keys()) if (!states.has(owner)) sightings.delete(owner);
    return folders;
  }

  return {
    folder() {
      if (released) return Promise.reject(new Error('the spill is closed'));
      if (current === undefined) {
        const beginning = begin();
        current = beginning;
        beginning.catch(() => (current = current === beginning ? undefined : current));
      }
      return current;
    },

    async isMine(folder) {
      // Asleep for so long that others may have given us up: a sign first, which also asks the volume's server and not a cache.
      if (clock.monotonic() - lastBeatMs > life.leaseMs / 2 && !(await beat(folder))) return false;
      const isThere = (await disk.look(ownerFile(dir, folder))) !== undefined;
      if (!isThere) lose(folder);
      return isThere;
    },

    survey,

    async adopt() {
      const adopted: string[] = [];
      for (const { name, state: found, ...folder } of await survey()) {
        if (found !== 'orphaned' || released) continue;
        const to = adoptedName(folder, await this.folder());
        if (!(await disk.rename(join(dir, name), join(dir, to)))) continue; // N1
        await disk.remove(ownerFile(dir, to));
        adopted.push(to);
        state('spill-adopted', { origin: folder.origin, from: folder.owner });
      }
      return adopted;
    },

    async release() {
      released = true;
      heartbeat?.cancel();
      const name = await current?.catch(() => undefined);
      if (name === undefined) return;
      await disk.remove(ownerFile(dir, name));
      for (const topic of await disk.list(join(dir, name))) await disk.removeFolder(join(dir, name, topic));
      await disk.removeFolder(join(dir, name));
    },
  };
}

function complain(message: string, error: unknown): void {
  state('log-written', { level: 'warn', message, fields: { error: messageOf(error) } });
}
