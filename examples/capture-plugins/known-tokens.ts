/**
 * A plugin of kind auth: takes events of tokens in a file, and of no others. A token may have another name there, so that an old one
 * goes on to work after its project got a new one.
 *
 *     plugins:
 *       - module: ./examples/capture-plugins/known-tokens.ts
 *         config: { file: ./tokens.json }
 *
 * tokens.json: { "phc_new": true, "phc_old": "phc_new" }
 */
import { readFile, stat } from 'node:fs/promises';
import type { AuthPlugin } from '../../src/capture/plugins/plugin.ts';

export default function knownTokens(): AuthPlugin {
  let file = '';
  let readAt = -1;
  let known: Readonly<Record<string, true | string>> = {};

  /** Reads the file when it is another one than before. Throws when it cannot: nobody gets in then (onError: refuse), and the log says why. */
  async function refresh(): Promise<void> {
    const { mtimeMs } = await stat(file);
    if (mtimeMs === readAt) return;
    known = JSON.parse(await readFile(file, 'utf8')) as typeof known;
    readAt = mtimeMs;
  }

  return {
    kind: 'auth',
    async init(config) {
      file = (config as { readonly file: string }).file;
      await refresh(); // a file that is missing ends the start
    },
    async process({ token }) {
      await refresh();
      const name = Object.hasOwn(known, token) ? known[token] : undefined;
      if (name === undefined) return { allow: false, reason: 'this token is not known here' };
      return name === true ? { allow: true } : { allow: true, token: name };
    },
  };
}
