import ts from 'typescript';

/** Source files by path from the root of the repository, with `/`. */
export type Tree = ReadonlyMap<string, string>;

interface Import {
  readonly from: string;
  /** Path from the root for a file of the repository, else the name of a package or of a node: module. */
  readonly to: string;
  readonly typeOnly: boolean;
}

/** Packages that live in one folder each (rule 1). */
const HOMES: readonly (readonly [RegExp, string])[] = [
  [/^nact(\/|$)/, 'src/runtime/'],
  [/^(kafkajs|@platformatic\/kafka)(\/|$)/, 'src/kafka/'],
  [/^@clickhouse\//, 'src/clickhouse/'],
  [/^pg(-|\/|$)/, 'src/postgres/'],
  [/^ioredis(\/|$)/, 'src/redis/'],
  [/^chdb(\/|$)/, 'src/embedded/'],
  [/^maxmind(\/|$)/, 'src/geoip/'],
  [/^yaml(\/|$)/, 'src/config/'],
  [/^isolated-vm(\/|$)/, 'src/sandbox/'],
  [/^(@opentelemetry\/|prom-client|pino)/, 'src/telemetry/'],
];
const SYSTEM = /^src\/(kafka|clickhouse|postgres|redis|geoip|sandbox)\//;
/** What an outside system is to everyone else: types and error classes, and rules without I/O. Rule 4c keeps them so. */
const PORT = /^src\/(\w+\/port|kafka\/ledger)\.ts$/;
/** Modules of Node that only compute. */
const PURE_MODULES = ['node:buffer'];
/** What is put together at the start: nobody looks at it but those who do that, and itself (rule 8). */
const ROOF = /^src\/(telemetry|http|config|capture|embedded|demo|start)\//;
/** Who puts everything together: the entry points and their rooms. They may look at everything. */
const COMPOSITION = /^src\/([^/]+\.ts|start\/.*)$/;
/** Where time, chance, the environment and the console may be touched (rule 9): also entry points of child processes. */
const EDGE =
  /^(src\/(main|cli)\.ts|src\/runtime\/clock\.ts|src\/config\/load\.ts|src\/(embedded|sandbox)\/(.*\/)?[\w-]*(child|-server)[\w-]*\.ts)$/;
const FORBIDDEN_GLOBALS = ['Date.now', 'Math.random', 'process.env', 'setTimeout', 'setInterval', 'console'];

/** Actors of one protocol have what they share beside it: a folder that is no actor, and that only these build on (rule 6). */
const BUILT_ON: readonly (readonly [RegExp, string])[] = [[/^actors\/(clickhouse|kafka)-writer\//, 'actors/row-writer/']];

/** One object, too large for one file (rule 11): whoever keeps a part of it must name the whole. */
const CELL = /^src\/runtime\/(cell|core|leftovers|life|timers|watch)\.ts$/;

const folderOf = (path: string): string => /^(actors\/[^/]+|src\/[^/]+|[^/]+)\//.exec(path)?.[0] ?? '';

type Rule = (edge: Import & { readonly isPackage: boolean }) => boolean;

/** Each rule says whether one import breaks it. ARCHITECTURE.md draws them. */
const RULES: Readonly<Record<string, Rule>> = {
  '1 a client package is imported in its own folder only': ({ from, to }) =>
    HOMES.some(([name, home]) => name.test(to) && !from.startsWith(home)),
  '2 the domain imports nothing': ({ from, to, isPackage }) =>
    from.startsWith('src/domain/') && (isPackage ? !PURE_MODULES.includes(to) : !to.startsWith('src/domain/')),
  '3 runtime and observe know nothing but each other, files nothing': ({ from, to, isPackage }) =>
    (/^src\/(runtime|observe)\//.test(from) && !isPackage && !/^src\/(runtime|observe)\//.test(to)) ||
    (from.startsWith('src/files/') && !isPackage && !to.startsWith('src/files/')),
  '4 the folder of an outside system knows the domain, observe and itself': ({ from, to, typeOnly, isPackage }) =>
    SYSTEM.test(from) &&
    !isPackage &&
    !/^src\/(domain|observe)\//.test(to) &&
    folderOf(to) !== folderOf(from) &&
    !isClockType(to, typeOnly),
  '4b embedded parts implement ports and know no client': ({ from, to, typeOnly, isPackage }) =>
    from.startsWith('src/embedded/') &&
    !isPackage &&
    !/^src\/(domain|observe|files|embedded)\//.test(to) &&
    !PORT.test(to) &&
    !isClockType(to, typeOnly),
  '4c a port knows the domain only': ({ from, to }) => PORT.test(from) && !to.startsWith('src/domain/') && !PORT.test(to),
  '5 actors know ports; implementations arrive as arguments': ({ from, to }) =>
    from.startsWith('actors/') && SYSTEM.test(to) && !PORT.test(to),
  '6 an actor knows the messages of another, and nothing else of it': ({ from, to }) =>
    from.startsWith('actors/') &&
    to.startsWith('actors/') &&
    folderOf(to) !== folderOf(from) &&
    !to.endsWith('/messages.ts') &&
    !BUILT_ON.some(([builder, base]) => builder.test(from) && folderOf(to) === base),
  '7 actors do not know supervisors; supervisors know what actors show': ({ from, to, isPackage }) =>
    (from.startsWith('actors/') && to.startsWith('supervisors/')) ||
    (from.startsWith('supervisors/') &&
      !isPackage &&
      !/^(supervisors\/|actors\/[^/]+\/(index|messages)\.ts|src\/(runtime|domain|observe)\/)/.test(to) &&
      !PORT.test(to)),
  '8 nobody looks at the roof': ({ from, to }) => ROOF.test(to) && folderOf(from) !== folderOf(to) && !COMPOSITION.test(from),
  '8b folders in src do not look at actors and supervisors': ({ from, to }) =>
    from.startsWith('src/') && !COMPOSITION.test(from) && /^(actors|supervisors)\//.test(to),
  '8c entry points are imported by nobody but main.ts': ({ from, to }) => /^src\/[^/]+\.ts$/.test(to) && from !== 'src/main.ts',
  '10 nothing imports test or scripts': ({ to }) => /^(test|scripts)\//.test(to),
};
const isClockType = (to: string, typeOnly: boolean): boolean => typeOnly && to === 'src/runtime/clock.ts';

/** Every broken rule as `<rule>: a -> b`, sorted. Files of test/ and scripts/ may import anything. */
export function violations(tree: Tree): string[] {
  const found: string[] = [];
  const uses = new Map<string, readonly string[]>();
  for (const [path, text] of tree) {
    if (/^(test|scripts)\//.test(path) || !/^(src|actors|supervisors)\//.test(path)) continue;
    const { imports, globals } = read(path, text);
    uses.set(
      path,
      imports.map(({ to }) => to),
    );
    for (const edge of imports) {
      const isPackage = !tree.has(edge.to) && !/^(src|actors|supervisors|test|scripts)\//.test(edge.to);
      for (const [name, breaks] of Object.entries(RULES)) if (breaks({ ...edge, isPackage })) found.push(`${name}: ${path} -> ${edge.to}`);
    }
    if (!EDGE.test(path))
      for (const name of globals) found.push(`9 time, chance, environment and console come in as arguments: ${path} -> ${name}`);
  }
  const inCircles = new Set<string>();
  for (const path of uses.keys()) {
    const circle = CELL.test(path) || inCircles.has(path) ? undefined : wayBack(path, uses);
    for (const one of circle ?? []) inCircles.add(one);
    if (circle !== undefined) found.push(`11 no import leads back to where it began: ${circle.join(' -> ')}`);
  }
  return found.sort();
}

/** The shortest way over imports from a file to itself; undefined when there is none. */
function wayBack(start: string, uses: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const wayTo = new Map<string, readonly string[]>([[start, [start]]]);
  for (const [path, way] of wayTo) {
    for (const to of uses.get(path) ?? []) {
      if (to === start) return [...way, to];
      if (!wayTo.has(to)) wayTo.set(to, [...way, to]);
    }
  }
  return undefined;
}

/** The imports of a file, and the forbidden globals it touches; strings and comments do not count. */
function read(path: string, text: string): { readonly imports: readonly Import[]; readonly globals: ReadonlySet<string> } {
  const imports: Import[] = [];
  const globals = new Set<string>();
  const add = (specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier))
      imports.push({ from: path, to: resolve(path, specifier.text), typeOnly });
  };
  const ownNames = new Set<string>();
  const visit = (node: ts.Node): void => {
    if ((ts.isBindingElement(node) || ts.isParameter(node) || ts.isVariableDeclaration(node)) && ts.isIdentifier(node.name))
      ownNames.add(node.name.text);
    if (ts.isImportDeclaration(node)) return add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    if (ts.isExportDeclaration(node)) return add(node.moduleSpecifier, node.isTypeOnly);
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    if (ts.isTypeNode(node)) return ts.forEachChild(node, visit);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], false);
    const name = ts.isPropertyAccessExpression(node)
      ? `${node.expression.getText()}.${node.name.text}`
      : isPlainName(node)
        ? node.text
        : '';
    if (FORBIDDEN_GLOBALS.includes(name)) globals.add(name);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  // A parameter that happens to be called `console` is no global.
  return { imports, globals: new Set([...globals].filter((name) => !ownNames.has(name))) };
}

/** An identifier that stands for a variable: not the name of a member, of a parameter or of a field. */
function isPlainName(node: ts.Node): node is ts.Identifier {
  if (!ts.isIdentifier(node)) return false;
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  return ts.isCallExpression(parent) ||
    ts.isVariableDeclaration(parent) ||
    ts.isShorthandPropertyAssignment(parent) ||
    ts.isPropertyAssignment(parent)
    ? !('name' in parent && parent.name === node) || ts.isShorthandPropertyAssignment(parent)
    : false;
}

function resolve(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return specifier;
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}
