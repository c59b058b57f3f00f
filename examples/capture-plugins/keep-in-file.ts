/**
 * A plugin of kind storage: appends records to a file, a line of JSON each.
 *
 *     plugins:
 *       - module: ./examples/capture-plugins/keep-in-file.ts
 *         config: { file: /var/lib/troupe/captured.jsonl, role: fallback }
 *
 * As `mirror` (the default) it gets a copy of what is in Kafka. As `fallback` it gets what neither Kafka nor the spill took, and the client is told
 * 200 when process() resolves: so it resolves when the lines are on the disk, and not before.
 */
import { open, type FileHandle } from 'node:fs/promises';
import type { StoragePlugin } from '../../src/capture/plugins/plugin.ts';

interface Settings {
  readonly file: string;
  readonly role?: StoragePlugin['role'];
}

export default function keepInFile(): StoragePlugin {
  let role: StoragePlugin['role'] = 'mirror';
  let handle: FileHandle | undefined;
  /** process() is called again while it is at work. One write at a time, and what comes meanwhile is the next one: one sync for all of it. */
  let gathered = '';
  let next: Promise<void> | undefined;
  let last = Promise.resolve();

  async function write(): Promise<void> {
    const lines = gathered;
    gathered = '';
    next = undefined;
    if (handle === undefined) throw new Error('process() before init()');
    await handle.appendFile(lines);
    await handle.datasync();
  }

  return {
    kind: 'storage',
    get role() {
      return role;
    },
    async init(config) {
      const settings = config as Settings;
      role = settings.role ?? role;
      handle = await open(settings.file, 'a');
    },
    async process(records) {
      const lines = records.map(({ topic, key, value }) =>
        JSON.stringify({ topic, key: key?.toString() ?? null, value: value.toString('base64') }),
      );
      gathered += `${lines.join('\n')}\n`;
      if (next === undefined) {
        next = last.then(write);
        last = next.catch(() => undefined); // those whose write failed are told; the next one is tried all the same
      }
      await next;
    },
    async close() {
      await last;
      await handle?.close();
    },
  };
}
