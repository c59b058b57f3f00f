/**
 * Writes what is generated of the documentation: `node scripts/generate-docs.ts`. With `--check` it writes nothing and ends
 * with 1 when a file is stale. `npm run check` and test/unit/config/docs.test.ts do the same.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { configurationDoc } from '../src/config/configuration-doc.ts';

const file = new URL('../docs/configuration.md', import.meta.url);
const wanted = configurationDoc();

if (!process.argv.includes('--check')) {
  writeFileSync(file, wanted);
  console.log('docs/configuration.md: written');
} else if (readOrEmpty() !== wanted) {
  console.error('docs/configuration.md is stale: run `npm run docs`.');
  process.exitCode = 1;
}

function readOrEmpty(): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
