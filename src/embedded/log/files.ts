import { open, rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory, writeWhole } from '../../files/durable.ts';

/** One open file of the log. A failing disk is tested by passing another implementation. */
export interface LogFile {
  /** Writes every byte at `position`. @throws the system's error (ENOSPC, EIO …), possibly after a part was written. */
  writeAll(buffers: readonly Buffer[], position: number): Promise<void>;
  /** Reads up to `into.length` bytes; resolves to how many there were. */
  read(into: Buffer, position: number): Promise<number>;
  /** fdatasync. */
  sync(): Promise<void>;
  truncate(bytes: number): Promise<void>;
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/** How the log opens its files: 'create' empties a file that is there: one that no segment list names holds nothing acknowledged. */
export type OpenLogFile = (path: string, mode: 'create' | 'append' | 'read') => Promise<LogFile>;

const FLAGS = { create: 'w+', append: 'r+', read: 'r' } as const;

export const openOnDisk: OpenLogFile = async (path, mode) => onHandle(await open(path, FLAGS[mode]));

function onHandle(handle: FileHandle): LogFile {
  return {
    writeAll: (buffers, position) => writeWhole(handle, buffers, position),
    async read(into, position) {
      const { bytesRead } = await handle.read(into, 0, into.length, position);
      return bytesRead;
    },
    sync: () => handle.datasync(),
    truncate: (bytes) => handle.truncate(bytes),
    sizeBytes: async () => (await handle.stat()).size,
    close: () => handle.close(),
  };
}

/** Replaces a small file so that a reader, also after a crash, finds the old content or the new one and nothing else. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const next = `${path}.next`;
  const handle = await open(next, 'w');
  try {
    await handle.writeFile(content);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(next, path);
  await syncDirectory(dirname(path));
}
