import { describe, expect, it } from 'vitest';
import { CAPTURE_RULES, problemsOf, problemsOfProject, PROMISES, RULE_IDS } from '../../scripts/check-compatibility.ts';

const HEAD = '| rule | what it says | here | how, or why not | shown by |\n| --- | --- | --- | --- | --- |\n';
const others = (id: string): string =>
  RULE_IDS.filter((other) => other !== id)
    .map((other) => `| ${other} | said | not applicable | because | |`)
    .join('\n');
const read = (path: string): string | undefined => (path === 'test/a.test.ts' ? "it('does what it says', () => {})" : undefined);
const problemsOfRow = (row: string): string[] => problemsOf(`${HEAD}${others('K-1')}\n${row}\n`, read);

describe.each(PROMISES)('$path', (promised) => {
  it('has an answer for every rule, and an existing test behind every answer that needs one', () => {
    expect(promised.ids.length).toBeGreaterThan(150);
    expect(problemsOfProject(promised)).toEqual([]);
  });
});

describe('the check of docs/capture-rules.md', () => {
  it.each([
    ['what is not built needs no test', '| x | said | not built | because | |', []],
    ['but a reason', '| x | said | not built | | |', ["x: 'not built' without a reason"]],
    ['an answer of the other document', '| x | said | not applicable | because | |', ["x: the answer is 'not applicable'"]],
  ])('%s', (_, row, problems) => {
    expect(problemsOf(HEAD + row, read, { ...CAPTURE_RULES, ids: ['x'] })).toEqual(problems);
  });
});

describe('the check of docs/compatibility.md', () => {
  it.each([
    ['a good row', '| K-1 | said | kept | | `test/a.test.ts` "does what it says" |', []],
    ['a rule without a row', '', ['K-1: no answer']],
    ['a rule twice', '| K-1 | said | not applicable | why | |\n| K-1 | said | not applicable | why | |', ['K-1: answered twice']],
    ['a rule that is not one', '| K-1 | said | not applicable | why | |\n| K-99 | said | not applicable | why | |', ['K-99: no such rule']],
    ['an empty sentence', '| K-1 | | not applicable | why | |', ['K-1: does not say what the rule is']],
    ['a word that is no answer', '| K-1 | said | mostly | why | `test/a.test.ts` "does what it says" |', ["K-1: the answer is 'mostly'"]],
    ['better without a reason', '| K-1 | said | better | | `test/a.test.ts` "does what it says" |', ["K-1: 'better' without a reason"]],
    ['kept without a test', '| K-1 | said | kept | | we believe |', ["K-1: 'kept' without a test"]],
    ['a file that is gone', '| K-1 | said | kept | | `test/b.test.ts` "x" |', ['K-1: there is no test/b.test.ts']],
    ['a test that is gone', '| K-1 | said | kept | | `test/a.test.ts` "does more" |', ['K-1: test/a.test.ts has no test "does more"']],
  ])('finds %s', (_, row, problems) => {
    expect(problemsOfRow(row)).toEqual(problems);
  });
});
