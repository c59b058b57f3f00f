import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Scripts by file name, whole: what posthog-js loads when it needs it. */
export type StaticFiles = ReadonlyMap<string, string>;

/** The scripts of a page are a few hundred KB; a folder with more than this is another one than was meant. */
const LIMIT_BYTES = 64 << 20;

/**
 * Reads every `.js` of a folder, normally `dist` of the npm package posthog-js. What a client asks for is looked up among
 * these names, so no path of a client's ever meets the disk.
 * @throws Error that names the folder when it cannot be read, holds no script, or far too much.
 */
export async function readStaticFiles(dir: string): Promise<StaticFiles> {
  const files = new Map<string, string>();
  let bytes = 0;
  for (const name of (await readdir(dir)).filter((one) => one.endsWith('.js')).sort()) {
    const text = await readFile(join(dir, name), 'utf8');
    bytes += Buffer.byteLength(text);
    if (bytes > LIMIT_BYTES) throw new Error(`${dir} has more than ${LIMIT_BYTES} bytes of scripts: is it the dist folder of posthog-js?`);
    files.set(name, text);
  }
  if (files.size === 0) throw new Error(`${dir} has no script: is it the dist folder of posthog-js?`);
  return files;
}
