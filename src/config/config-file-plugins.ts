import { isMap, isScalar, type Node, type Pair, type YAMLSeq } from 'yaml';
import { closestKey, plain, resolved, type Reading } from './config-file-reading.ts';
import { PLUGIN_ERROR_WAYS, PLUGIN_KINDS, type CapturePluginDeclaration } from './plugin-declaration.ts';

type Field = keyof CapturePluginDeclaration;
const FIELDS: readonly Field[] = ['module', 'kind', 'timeoutMs', 'onError', 'config'];

/** Reads the list of capture's plugins: each the name of a module, or a section with more about it. What is wrong is left out, and a problem. */
export function readDeclarations(list: YAMLSeq, reading: Reading): readonly CapturePluginDeclaration[] {
  return list.items.flatMap((item) => readDeclaration(item as Node, reading) ?? []);
}

function readDeclaration(item: Node, reading: Reading): CapturePluginDeclaration | undefined {
  const { problems, placeOf } = reading;
  const node = resolved(item, reading);
  if (isScalar(node) && typeof node.value === 'string' && node.value !== '') return { module: node.value };
  if (!isMap(node)) {
    problems.push({
      name: 'plugins',
      value: undefined,
      place: placeOf(item),
      allowed: 'a module, or a section with one',
      todo: 'write `- module: …`',
    });
    return undefined;
  }
  const fields: Partial<Record<Field, unknown>> = {};
  for (const { key, value } of node.items as Pair<Node, Node | null>[]) {
    const name = isScalar(key) ? String(key.value) : '';
    const field = FIELDS.find((one) => plain(one) === plain(name));
    const given = field === undefined ? undefined : fieldOf(field, resolved(value, reading), reading);
    if (field === undefined) {
      const near = closestKey(name, FIELDS);
      const todo = near === undefined ? 'remove it, or write it below `config`' : `did you mean ${near}?`;
      problems.push({ name: `plugins.${name}`, value: undefined, place: placeOf(key), allowed: FIELDS.join(', '), todo });
    } else if (given === undefined) {
      problems.push({ name: `plugins.${field}`, value: undefined, place: placeOf(key), allowed: ALLOWED[field], todo: 'correct it' });
    } else fields[field] = given;
  }
  if (fields.module === undefined) {
    problems.push({
      name: 'plugins.module',
      value: undefined,
      place: placeOf(item),
      allowed: ALLOWED.module,
      todo: 'say which module it is',
    });
    return undefined;
  }
  return fields as unknown as CapturePluginDeclaration; // each field was checked, and the module is there
}

const ALLOWED: Readonly<Record<Field, string>> = {
  module: 'the name of a package, or the path of a module',
  kind: PLUGIN_KINDS.join(', '),
  timeoutMs: 'a whole number of milliseconds, from 1',
  onError: PLUGIN_ERROR_WAYS.join(', '),
  config: 'anything that JSON can say',
};

/** The value of a field, or undefined when it is none. */
function fieldOf(field: Field, node: Node | null, { document }: Reading): unknown {
  const value: unknown = node?.toJS(document);
  switch (field) {
    case 'module':
      return typeof value === 'string' && value !== '' ? value : undefined;
    case 'kind':
      return PLUGIN_KINDS.find((kind) => kind === value);
    case 'onError':
      return PLUGIN_ERROR_WAYS.find((way) => way === value);
    case 'timeoutMs':
      return Number.isSafeInteger(value) && Number(value) >= 1 ? value : undefined;
    case 'config':
      return value;
  }
}
