import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const documents = globSync(['*.md', 'docs/**/*.md', 'test/**/*.md', 'deploy/**/*.md'], { cwd: root })
  .filter((path) => path !== 'CHANGELOG.md') // it tells of what was
  .sort();

/** Paths in code type, from the root or from src and actors, without those that stand for many. */
function pathsIn(text: string): string[] {
  const named = text.match(/`[\w.-]+(?:\/[\w.-]+)+\/?`/g) ?? [];
  const paths = [...new Set(named.map((one) => one.slice(1, -1)))].filter((path) => /\.(ts|mjs|md|sql|ya?ml)$/.test(path));
  return paths.filter((path) => !path.startsWith('spec/')); // the specification is no part of the repository
}

describe('the documents', () => {
  it.each(documents)('%s names no file that is not there', (document) => {
    const places = ['', 'src', 'actors', 'test', join(document, '..')];
    const missing = pathsIn(read(document)).filter((path) => !places.some((place) => existsSync(join(root, place, path))));
    expect(missing).toEqual([]);
  });

  it('a path that is not there is found', () => {
    expect(pathsIn('see `kafka/ledger.ts`, `src/x.ts`, `kafka/ledger.ts`, `a/<b>.ts` and `npm test`')).toEqual([
      'kafka/ledger.ts',
      'src/x.ts',
    ]);
  });

  it('ARCHITECTURE.md lists every decision once, in the order of their numbers', () => {
    const listed = [...read('ARCHITECTURE.md').matchAll(/^\| \[(\d{4})\]\(docs\/adr\/([\w-]+\.md)\)/gm)].map(([, number, file]) => [
      number,
      file,
    ]);
    const decided = globSync('*.md', { cwd: join(root, 'docs/adr') }).sort();
    expect(listed).toEqual(decided.map((file) => [file.slice(0, 4), file]));
  });

  it.each([
    ['## The capture service that was asked for', 38],
    ['### The collector it stands in for, row by row', 20],
  ])('docs/capture.md, %s: each of the %i rows of spec/capture.md 16 has its answer, once', (heading, count) => {
    const section =
      read('docs/capture.md')
        .split(`${heading}\n`)[1]
        ?.split(/\n##+ /)[0] ?? '';
    const numbers = [...section.matchAll(/^\| ([\d ,-]+) \|/gm)].flatMap(([, cell = '']) =>
      cell.split(/[ ,]+/).flatMap((one) => {
        const [from = 0, to = from] = one.split('-').map(Number);
        return Array.from({ length: to - from + 1 }, (_, at) => from + at);
      }),
    );
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, at) => at + 1));
  });

  it('the glossary has each word once', () => {
    const words = [...read('docs/glossary.md').matchAll(/^\| (\*\*.*?) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/\*\*([^*]+)\*\*(?: \(([^)]+)\))?/g)].map(([, word, of]) => `${String(word)}${of === undefined ? '' : ` (${of})`}`),
    );
    expect(words.length).toBeGreaterThan(80);
    expect(words.filter((word, at) => words.indexOf(word) !== at)).toEqual([]);
  });
});
