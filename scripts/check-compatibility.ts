/**
 * Holds docs/compatibility.md and docs/capture-rules.md to their promise: every rule of PostHog's ingestion and of its capture has an answer, and
 * every answer that says "kept" or "better" names a test that exists: `node scripts/check-compatibility.ts`. `npm run check` and
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

/** Sections of spec/capture.md with several rules, each a letter; here the last. */
const CAPTURE_LETTERED: Readonly<Record<string, string>> = {
  '1.1': 'h',
  '1.2': 'd',
  '2.7': 'c',
  '2.9': 'c',
  '3': 'h',
  '4.1': 'e',
  '4.2': 'e',
  '4.3': 'b',
  '4.4': 'g',
  '5.1': 'e',
  '6.1': 'd',
  '6.3': 'd',
  '6.4': 'b',
  '6.5': 'e',
  '6.6': 'f',
  '6.7': 'f',
  '7': 'a',
  '7.2': 'e',
  '7.3': 'd',
  '7.4': 'd',
  '8': 'g',
  '9': 'd',
  '10': 'f',
  '12': 'g',
  '14': 'd',
};
/** Its rules that are one, its vectors, its sharp edges. */
const CAPTURE_SINGLE = ['2.1', '2.2', '2.3', '2.4', '2.5', '2.6', '2.8', '2.10', '5.2', '5.3', '5.4', '6.2', '7.1', '13.1', '13.2'];
const lettersTo = (last: string): string[] => range('a'.charCodeAt(0), last.charCodeAt(0)).map((code) => String.fromCharCode(code));

export const CAPTURE_RULE_IDS: readonly string[] = [
  ...Object.entries(CAPTURE_LETTERED).flatMap(([section, last]) => lettersTo(last).map((letter) => section + letter)),
  ...CAPTURE_SINGLE,
  ...range(1, 50).map((number) => `11.${number}`),
  ...range(1, 25).map((number) => `15.${number}`),
];

export interface Promised {
  readonly path: string;
  readonly ids: readonly string[];
  readonly answers: readonly string[];
}

/** Answers that say that something is not as PostHog has it: they need a reason, and no test. */
const WITHOUT_TEST: readonly string[] = ['not applicable', 'not built'];

export const COMPATIBILITY: Promised = { path: 'docs/compatibility.md', ids: RULE_IDS, answers: ['kept', 'better', 'not applicable'] };
export const CAPTURE_RULES: Promised = { path: 'docs/capture-rules.md', ids: CAPTURE_RULE_IDS, answers: ['kept', 'better', 'not built'] };
export const PROMISES: readonly Promised[] = [COMPATIBILITY, CAPTURE_RULES];

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
export function problemsOf(
  markdown: string,
  read: (path: string) => string | undefined,
  { ids, answers }: Promised = COMPATIBILITY,
): string[] {
  const rows = rowsOf(markdown);
  const known = new Set(ids);
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const row of rows) {
    if (!known.has(row.id)) problems.push(`${row.id}: no such rule`);
    if (seen.has(row.id)) problems.push(`${row.id}: answered twice`);
    seen.add(row.id);
    if (row.rule === '') problems.push(`${row.id}: does not say what the rule is`);
    if (!answers.includes(row.answer)) problems.push(`${row.id}: the answer is '${row.answer}'`);
    if (row.answer !== 'kept' && row.how === '') problems.push(`${row.id}: '${row.answer}' without a reason`);
    problems.push(...testProblems(row, read));
  }
  for (const id of ids) if (!seen.has(id)) problems.push(`${id}: no answer`);
  return problems;
}

/** `path` "words of the title"; several one after the other. */
const REFERENCE = /`(test\/[^`]+)` "([^"]+)"/g;

function testProblems({ id, answer, shownBy }: Row, read: (path: string) => string | undefined): string[] {
  const references = [...shownBy.matchAll(REFERENCE)];
  if (references.length === 0) return WITHOUT_TEST.includes(answer) ? [] : [`${id}: '${answer}' without a test`];
  return references.flatMap(([, path = '', words = '']) => {
    const text = read(path);
    if (text === undefined) return [`${id}: there is no ${path}`];
    return text.includes(words) ? [] : [`${id}: ${path} has no test "${words}"`];
  });
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** The problems of a document as it stands in the project. */
export function problemsOfProject(promised: Promised): string[] {
  const root = join(import.meta.dirname, '..');
  const read = (path: string): string | undefined => (existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : undefined);
  return problemsOf(read(promised.path) ?? '', read, promised);
}

if (import.meta.main) {
  for (const promised of PROMISES) {
    const { path, ids } = promised;
    const problems = problemsOfProject(promised);
    for (const problem of problems) console.error(`${path}: ${problem}`);
    if (problems.length > 0) process.exitCode = 1;
    else console.log(`${path}: ${ids.length} rules, each with an answer`);
  }
}
