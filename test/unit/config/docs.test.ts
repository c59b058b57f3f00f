import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configurationDoc } from '../../../src/config/configuration-doc.ts';

it('docs/configuration.md is what src/config/schema.ts says (npm run docs writes it)', () => {
  const written = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  expect(written === configurationDoc()).toBe(true);
});
