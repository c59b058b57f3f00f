/** As much of PromQL as it takes to know which metrics an expression asks for, and which of their labels. */
export interface Asked {
  readonly metric: string;
  /** Of its matchers. */
  readonly labels: readonly string[];
  /** The function around it, if it stands in one directly: `rate(x[5m])`. */
  readonly within: string | undefined;
}

export interface Expression {
  readonly asked: readonly Asked[];
  /** Of `by`, `on` and their like. */
  readonly grouped: readonly string[];
}

const GROUPING = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right']);
const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);
/** Strings, ranges (`[5m]`), numbers with their unit, names, operators of matchers, single characters. */
const TOKEN = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|\d[\w.]*|[A-Za-z_:][\w:]*|=~|!~|!=|==|>=|<=|\S/g;
const isName = (token: string | undefined): token is string => token !== undefined && /^[A-Za-z_:]/.test(token);

/** @throws Error when brackets do not match */
export function read(promql: string): Expression {
  const tokens: readonly string[] = promql.match(TOKEN) ?? [];
  const asked: Asked[] = [];
  const grouped: string[] = [];
  const open: (string | undefined)[] = []; // for each open bracket, the function it belongs to
  const namesUntil = (end: string, from: number): { readonly names: string[]; readonly next: number } => {
    const at = tokens.indexOf(end, from);
    if (at < 0) throw new Error(`${promql}: a bracket stays open`);
    return {
      names: tokens.slice(from, at).filter((token, index, all) => isName(token) && (end === ')' || /^(=|!)/.test(all[index + 1] ?? ''))),
      next: at,
    };
  };

  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === '(') open.push(isName(tokens[at - 1]) && !WORDS.has(tokens[at - 1] ?? '') ? tokens[at - 1] : undefined);
    else if (token === ')') {
      if (open.length === 0) throw new Error(`${promql}: a bracket too many`);
      open.pop();
    } else if (isName(token) && GROUPING.has(token)) {
      if (tokens[at + 1] !== '(') continue;
      const { names, next } = namesUntil(')', at + 2);
      grouped.push(...names);
      at = next;
    } else if (isName(token) && !WORDS.has(token) && tokens[at + 1] !== '(' && !GROUPING.has(tokens[at + 1] ?? '')) {
      const labels = tokens[at + 1] === '{' ? namesUntil('}', at + 2) : undefined;
      asked.push({ metric: token, labels: labels?.names ?? [], within: open.at(-1) });
      at = labels?.next ?? at;
    }
  }
  if (open.length > 0) throw new Error(`${promql}: a bracket stays open`);
  return { asked, grouped };
}
