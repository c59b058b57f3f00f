import type { SpillDisk } from '../../src/capture/spill/disk.ts';

interface MemoryFile {
  bytes: Buffer;
  /** What survives a crash for certain. */
  durableBytes: number;
  touchedMs: number;
}

/** A file system in memory that can refuse, and crash at any byte: what was not synced may be lost from any byte on. */
export interface MemoryDisk extends SpillDisk {
  /** Calls that would have reached a real disk. */
  readonly calls: readonly string[];
  /** What the next calls of an operation do instead: throw, after writing a part. */
  refuse(operation: 'append' | 'sync' | 'create' | 'makeFolder', error: Error | undefined, partBytes?: number): void;
  /** Files by path, as they are after a crash now that keeps `keep(unsynced bytes)` of what was not synced. */
  afterCrash(keep: (unsyncedBytes: number, path: string) => number): MemoryDisk;
  paths(): readonly string[];
  /** Changes bytes of a file. */
  damage(path: string, change: (bytes: Buffer) => void): void;
}

export function memoryDisk(from: ReadonlyMap<string, Buffer> = new Map()): MemoryDisk {
  const files = new Map<string, MemoryFile>();
  for (const [path, bytes] of from) files.set(path, { bytes: Buffer.from(bytes), durableBytes: bytes.length, touchedMs: 0 });
  const calls: string[] = [];
  const refusals = new Map<string, { error: Error; partBytes: number }>();
  const note = (operation: string): void => {
    calls.push(operation);
    const refusal = refusals.get(operation);
    if (refusal !== undefined && operation !== 'append') throw refusal.error;
  };
  const absent = (path: string): Error => Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
  const called = async <T>(operation: string, run: () => T): Promise<T> => {
    await Promise.resolve(); // as a real one, never in the same turn
    note(operation);
    return run();
  };
  const within = (path: string, folder: string): boolean => path.startsWith(`${folder}/`);

  return {
    calls,
    refuse(operation, error, partBytes = 0) {
      if (error === undefined) refusals.delete(operation);
      else refusals.set(operation, { error, partBytes });
    },
    paths: () => [...files.keys()].sort(),
    damage(path, change) {
      const file = files.get(path);
      if (file === undefined) throw absent(path);
      change(file.bytes);
    },
    afterCrash(keep) {
      const kept = new Map<string, Buffer>();
      for (const [path, { bytes, durableBytes }] of files) {
        kept.set(path, bytes.subarray(0, durableBytes + keep(bytes.length - durableBytes, path)));
      }
      return memoryDisk(kept);
    },
    create: (path) =>
      called('create', () => {
        if (files.has(path)) throw Object.assign(new Error(`EEXIST: ${path}`), { code: 'EEXIST' });
        const file: MemoryFile = { bytes: Buffer.alloc(0), durableBytes: 0, touchedMs: 0 };
        files.set(path, file);
        return {
          append: (buffers) =>
            called('append', () => {
              const refusal = refusals.get('append');
              const all = Buffer.concat(buffers);
              file.bytes = Buffer.concat([file.bytes, refusal === undefined ? all : all.subarray(0, refusal.partBytes)]);
              if (refusal !== undefined) throw refusal.error;
            }),
          sync: () => called('sync', () => void (file.durableBytes = file.bytes.length)),
          close: () => called('close', () => undefined),
        };
      }),
    read: (path) =>
      called('read', () => {
        const file = files.get(path);
        if (file === undefined) throw absent(path);
        return Buffer.from(file.bytes);
      }),
    sizeBytes: (path) =>
      called('sizeBytes', () => {
        const file = files.get(path);
        if (file === undefined) throw absent(path);
        return file.bytes.length;
      }),
    list: (path) =>
      called('list', () => [
        ...new Set([...files.keys()].filter((one) => within(one, path)).map((one) => one.slice(path.length + 1).split('/')[0] ?? '')),
      ]),
    makeFolder: () => called('makeFolder', () => undefined),
    rename: (from_, to) =>
      called('rename', () => {
        const moved = [...files].filter(([path]) => path === from_ || within(path, from_));
        for (const [path, file] of moved) {
          files.delete(path);
          files.set(to + path.slice(from_.length), file);
        }
        return moved.length > 0;
      }),
    remove: (path) => called('remove', () => void files.delete(path)),
    removeFolder: () => called('removeFolder', () => undefined),
    put: (path, content) =>
      called('put', () => void files.set(path, { bytes: Buffer.from(content), durableBytes: content.length, touchedMs: 0 })),
    touch: (path, atMs) =>
      called('touch', () => {
        const file = files.get(path);
        if (file !== undefined) file.touchedMs = atMs;
        return file !== undefined;
      }),
    look: (path) =>
      called('look', () => {
        const file = files.get(path);
        return file && { content: file.bytes.toString(), touchedMs: file.touchedMs };
      }),
    syncFolder: () => called('syncFolder', () => undefined),
  };
}
