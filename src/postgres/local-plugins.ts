import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { PluginFiles } from './plugin-config-store.ts';

/** What a plugin's folder may hold for the server; the rest (frontend.tsx, tests, node_modules) is not read. */
const SERVER_FILES = ['plugin.json', 'index.js', 'index.ts'];

/**
 * Reads plugins of type local (V-3) from folders below or beside `baseDir`: `plugin.json`, the file that its `main`
 * names, `index.js`, `index.ts`; absent ones are left out. A folder that cannot be read gives no files.
 */
export function localPluginReader(baseDir: string): (path: string) => Promise<PluginFiles> {
  return async (path) => {
    const dir = resolve(baseDir, path);
    const files: Record<string, string> = {};
    const read = async (name: string): Promise<void> => {
      const text = await readIfThere(resolve(dir, name));
      if (text !== undefined) files[name] = text;
    };
    for (const name of SERVER_FILES) await read(name);
    const main = mainOf(files['plugin.json']);
    if (main !== undefined && resolve(dir, main).startsWith(`${dir}/`) && files[main] === undefined) await read(main);
    return files;
  };
}

/** Undefined when plugin.json has no usable `main`; that it is no JSON is for the loader to complain about. */
function mainOf(manifest: string | undefined): string | undefined {
  if (manifest === undefined) return undefined;
  try {
    const { main } = JSON.parse(manifest) as { main?: unknown };
    return typeof main === 'string' ? main : undefined;
  } catch {
    return undefined;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR' || code === 'EACCES') return undefined;
    throw error;
  }
}
