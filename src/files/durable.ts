/** Writing to files so that what was written is there: shared by the embedded log and capture's spill. */
import { open, type FileHandle } from 'node:fs/promises';

/**
 * Writes every byte, at `position` or else at the end of what was written before: a nearly full disk takes a part of a write and reports
 * no error.
 * @throws the system's error (ENOSPC, EIO …), possibly after a part was written
 */
export async function writeWhole(handle: FileHandle, buffers: readonly Buffer[], position?: number): Promise<void> {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, at);
    if (at !== undefined) at += bytesWritten;
    rest = afterBytes(rest, bytesWritten);
    if (rest.length > 0 && bytesWritten === 0) throw new Error('the disk took no byte');
  }
}

/** What is left of `buffers` after a short write. */
function afterBytes(buffers: readonly Buffer[], written: number): readonly Buffer[] {
  let skip = written;
  for (const [index, buffer] of buffers.entries()) {
    if (skip < buffer.length) return [buffer.subarray(skip), ...buffers.slice(index + 1)];
    skip -= buffer.length;
  }
  return [];
}

/** Makes a created, renamed or removed name in a folder durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
