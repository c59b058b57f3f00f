import { mkdir, open, readdir, readFile, rename, rmdir, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { syncDirectory, writeWhole } from '../../files/durable.ts';

/** A file that grows. */
export interface SpillFile {
  /** Adds every byte at the end. @throws the system's error (ENOSPC, EIO …), possibly after a part was written. */
  append(buffers: readonly Buffer[]): Promise<void>;
  /** fdatasync */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What the spill wants of a file system, which may be a volume that several machines mount. Paths are whole. */
export interface SpillDisk {
  /** A new file. @throws when the name exists. */
  create(path: string): Promise<SpillFile>;
  read(path: string): Promise<Buffer>;
  sizeBytes(path: string): Promise<number>;
  /** Names in a folder, none where there is no folder. */
  list(path: string): Promise<readonly string[]>;
  makeFolder(path: string): Promise<void>;
  /** False when `from` is not there any more. */
  rename(from: string, to: string): Promise<boolean>;
  /** Removes a file, if it is there. */
  remove(path: string): Promise<void>;
  /** Removes a folder, if it is there and empty. */
  removeFolder(path: string): Promise<void>;
  /** A small file that appears whole. */
  put(path: string, content: string): Promise<void>;
  /** Sets the file's time to `atMs`, as a sign of life; false when it is not there any more. */
  touch(path: string, atMs: number): Promise<boolean>;
  /** The file's content and time as the server of the volume has them now; undefined when it is not there. */
  look(path: string): Promise<{ readonly content: string; readonly touchedMs: number } | undefined>;
  /** Makes names in a folder durable. */
  syncFolder(path: string): Promise<void>;
}

export const systemDisk: SpillDisk = {
  async create(path) {
    const handle = await open(path, 'ax');
    return {
      append: (buffers) => writeWhole(handle, buffers),
      sync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  read: (path) => readFile(path),
  sizeBytes: async (path) => (await stat(path)).size,
  list: (path) => unlessGone(readdir(path), []),
  makeFolder: async (path) => void (await mkdir(path, { recursive: true })),
  rename: (from, to) =>
    unlessGone(
      rename(from, to).then(() => true),
      false,
    ),
  remove: (path) => unlessGone(unlink(path), undefined),
  async removeFolder(path) {
    try {
      await rmdir(path);
    } catch (error) {
      if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(codeOf(error))) throw error;
    }
  },
  async put(path, content) {
    const draft = `${path}.new`;
    await writeFile(draft, content, { flush: true });
    await rename(draft, path);
  },
  touch: (path, atMs) =>
    unlessGone(
      utimes(path, atMs / 1000, atMs / 1000).then(() => true),
      false,
    ),
  look: (path) =>
    unlessGone(
      // Opened and not only asked for: a network file system asks its server again when a file is opened.
      (async () => {
        const handle = await open(path, 'r');
        try {
          return { touchedMs: (await handle.stat()).mtimeMs, content: await handle.readFile('utf8') };
        } finally {
          await handle.close();
        }
      })(),
      undefined,
    ),
  syncFolder: syncDirectory,
};

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code);

/** ENOENT and ESTALE, which a network file system says of what was removed or renamed elsewhere, become `instead`. */
async function unlessGone<T>(step: Promise<T>, instead: T): Promise<T> {
  try {
    return await step;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESTALE') return instead;
    throw error;
  }
}
