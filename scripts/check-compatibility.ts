/**
 * Holds docs/compatibility.md to its promise: every rule of PostHog's ingestion has an answer, and every answer that says
 * "kept" or "better" names a test that exists: `node scripts/check-compatibility.ts`. `npm run check` and
 * test/unit/compatibility.test.ts do the same.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Numbered rules of the specification, sections 1-5, 7.2 (C), 8 and 9, by letter. */
const NUMBERED: Readonly<Record<string, readonly number[]>> = {
  K: [1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 34],
  T: range(1, 8),
  B: range(1, 13),
  L: range(1, 7),
  N: [...range(1, 6), ...range(20, 23)],
  A: range(1, 5),
  TS: range(1, 9),
  IP: range(1, 2),
  PP: range(1, 6),
  E: range(1, 5),
  G: range(1, 5),
  D: range(1, 8),
  F: [1],
  H: range(1, 4),
  X: range(1, 3),
  P: [1, 2, ...range(10, 13), ...range(20, 23), ...range(30, 39)],
  M: range(1, 9),
  Q: range(1, 4),
  Z: range(1, 4),
  GU: range(1, 5),
  O: range(1, 4),
  W: [1],
  LG: range(1, 3),
  AM: range(1, 3),
  C: range(1, 8),
  HT: range(1, 5),
  SH: range(1, 4),
};
/** Tables and passages without a number of their own, by the section they stand in. */
const SECTIONS = [
  '1.1',
  '1.3',
  '2.13',
  '3.6',
  '3.8',
  '4.1',
  '4.2',
  '4.3',
  '4.4',
  '4.5',
  '4.6',
  '4.7',
  '4.8',
  '4.9',
  '5.0',
  '5.1',
  '8',
  '9.1',
  '9.4',
];
/** The sharp edges of section 10. */
const EDGES = range(1, 40).map((number) => `10.${number}`);

export const RULE_IDS: readonly string[] = [
  ...Object.entries(NUMBERED).flatMap(([letter, numbers]) => numbers.map((number) => `${letter}-${number}`)),
  ...SECTIONS,
  ...EDGES,
];

export const ANSWERS = ['kept', 'better', 'not applicable'] as const;

interface Row {
  readonly id: string;
  readonly rule: string;
  readonly answer: string;
  readonly how: string;
  readonly shownBy: string;
}

/** Rows of every table of the document that has five columns and begins with an id. */
export function rowsOf(markdown: string): Row[] {
  return markdown.split('\n').flatMap((line) => {
    if (!line.startsWith('| ')) return [];
    const [id = '', rule = '', answer = '', how = '', shownBy = '', ...more] = line
      .replace(/^\|\s*|\s*\|\s*$/g, '')
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim());
    if (id === 'rule' || /^-+:?$/.test(id) || more.length > 0) return [];
    return [{ id, rule, answer, how, shownBy }];
  });
}

/**
 * What is wrong with the document; nothing when it keeps its promise.
 * @param read text of a file of the project, undefined when there is none
 */
export function problemsOf(markdown: string, read: (path: string) => string | undefined): string[] {
  const rows = rowsOf(markdown);
  const known = new Set(RULE_IDS);
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const row of rows) {
    if (!known.has(row.id)) problems.push(`${row.id}: no such rule`);
    if (seen.has(row.id)) problems.push(`${row.id}: answered twice`);
    seen.add(row.id);
    if (row.rule === '') problems.push(`${row.id}: does not say what the rule is`);
    if (!(ANSWERS as readonly string[]).includes(row.answer)) problems.push(`${row.id}: the answer is '${row.answer}'`);
    if (row.answer !== 'kept' && row.how === '') problems.push(`${row.id}: '${row.answer}' without a reason`);
    problems.push(...testProblems(row, read));
  }
  for (const id of RULE_IDS) if (!seen.has(id)) problems.push(`${id}: no answer`);
  return problems;
}

/** `path` "words of the title"; several one after the other. */
const REFERENCE = /`(test\/[^`]+)` "([^"]+)"/g;

function testProblems({ id, answer, shownBy }: Row, read: (path: string) => string | undefined): string[] {
  const references = [...shownBy.matchAll(REFERENCE)];
  if (references.length === 0) return answer === 'not applicable' ? [] : [`${id}: '${answer}' without a test`];
  return references.flatMap(([, path = '', words = '']) => {
    const text = read(path);
    if (text === undefined) return [`${id}: there is no ${path}`];
    return text.includes(words) ? [] : [`${id}: ${path} has no test "${words}"`];
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** The problems of the document as it stands in the project. */
export function problemsOfProject(): string[] {
  const root = join(import.meta.dirname, '..');
  const read = (path: string): string | undefined => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined);
  return problemsOf(read('docs/compatibility.md') ?? '', read);
}

if (import.meta.main) {
  const problems = problemsOfProject();
  for (const problem of problems) console.error(`docs/compatibility.md: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
  else console.log(`docs/compatibility.md: ${RULE_IDS.length} rules, each with an answer`);
}
