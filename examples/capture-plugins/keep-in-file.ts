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
  /** One write at a time: process() is called again while it is at work. */
  let last = Promise.resolve();

  async function append(lines: string): Promise<void> {
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
      const turn = last.then(() => append(`${lines.join('\n')}\n`));
      last = turn.catch(() => undefined); // whose write failed is told; the next one is tried all the same
      await turn;
    },
    async close() {
      await last;
      await handle?.close();
    },
  };
}
