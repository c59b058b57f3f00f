import { stripTypeScriptTypes } from 'node:module';

export type Source =
  { readonly type: 'found'; readonly file: string; readonly code: string } | { readonly type: 'unusable'; readonly message: string };

/**
 * Finds the plugin's code (V-3: `main` of plugin.json, else index.js, else index.ts) and takes its types out. TypeScript's
 * enums and namespaces are translated, types erased; nothing is resolved or run here.
 */
export function readSource(name: string, files: Readonly<Record<string, string>>): Source {
  const manifest = readManifest(name, files['plugin.json']);
  if (manifest.type === 'unusable') return manifest;
  const candidates = [manifest.main, 'index.js', 'index.ts'].filter((file) => file !== undefined);
  const file = candidates.find((candidate) => Object.hasOwn(files, candidate) && files[candidate] !== '');
  const text = file === undefined ? undefined : files[file];
  if (file === undefined || text === undefined)
    return { type: 'unusable', message: `Could not load source code for ${name}. Tried: ${candidates.join(', ')}` };
  try {
    // PostHog compiles every database plugin as TypeScript, index.js too; plain JavaScript passes through unharmed
    return { type: 'found', file, code: stripTypeScriptTypes(text, { mode: 'transform' }) };
  } catch (error) {
    // Spelled out: the child's permissions let it read no other folder's code.
    return { type: 'unusable', message: `${file}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

type Manifest = { readonly type: 'manifest'; readonly main: string | undefined } | { readonly type: 'unusable'; readonly message: string };

function readManifest(name: string, text: string | undefined): Manifest {
  if (text === undefined || text === '') return { type: 'manifest', main: undefined };
  try {
    const parsed: unknown = JSON.parse(text);
    const main = typeof parsed === 'object' && parsed !== null && 'main' in parsed ? parsed.main : undefined;
    return { type: 'manifest', main: typeof main === 'string' ? main.replace(/^\.\//, '') : undefined };
  } catch {
    return { type: 'unusable', message: `Could not load "plugin.json" for ${name}` };
  }
}
