import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type Pair, type YAMLSeq } from 'yaml';
import { messageOf } from '../domain/strings.ts';
import { readDeclarations } from './config-file-plugins.ts';
import { closestKey, isNothing, keyOf, plain, resolved, type Reading } from './config-file-reading.ts';
import { maskValue } from './mask.ts';
import { allowedOf } from './parse-setting.ts';
import type { Problem } from './problem.ts';
import { ALL_SETTINGS, CONFIG_FILE, SCHEMA, SECTION_PROSE, type SectionName } from './schema.ts';
import type { GivenValue, Setting } from './setting.ts';

/** A value of the file, as a variable of the environment would have it, or in parts where it is a list. */
export interface FileEntry {
  readonly value: GivenValue;
  /** `troupe.yaml:12` */
  readonly place: string;
}

export interface ConfigFile {
  /** By the name of the setting's variable; of a secret that the file only points at, by that name and `_FILE`. */
  readonly entries: ReadonlyMap<string, FileEntry>;
  readonly problems: readonly Problem[];
}

/**
 * Reads a configuration file: YAML, of which JSON is a part. Its sections are those of docs/configuration.md, and in them the settings by
 * their keys: `capture.bodyBytes`, also `body_bytes` or `BodyBytes`. Two sections know more than their own: `server` takes the settings of
 * capture, which is the server that clients see, and `plugins` may be a list, of capture's plugins. Never throws: what is wrong is a
 * problem, with its line. Values are read no further: that is the same work, and the same words, as for the environment.
 */
export function readConfigFile(path: string, readFile: (path: string) => string): ConfigFile {
  const entries = new Map<string, FileEntry>();
  const problems: Problem[] = [];
  const wrong = (todo: string, place = path): ConfigFile => {
    problems.push({ name: CONFIG_FILE, value: undefined, place, allowed: 'a file of YAML or JSON, with sections of settings', todo });
    return { entries, problems };
  };

  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    return wrong(messageOf(error));
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const placeAt = (offset: number): string => `${path}:${lines.linePos(offset).line}`;
  for (const { message, pos } of [...document.errors, ...document.warnings]) wrong(message, placeAt(pos[0]));
  if (problems.length > 0) return { entries, problems };
  try {
    document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    return wrong(messageOf(error)); // an alias of nothing, or aliases of aliases of aliases
  }
  // A file that is just being written is empty for a moment: read as settings, that would be all the defaults.
  if (!isMap(document.contents) || document.contents.items.length === 0) return wrong('write at least one section into it; it has none');

  const reading: Reading = { document, problems, placeOf: (node) => placeAt(node?.range?.[0] ?? 0) };
  for (const pair of document.contents.items) readSection(pair, reading, entries);
  return { entries, problems };
}

/** Beyond it a few lines may stand for gigabytes. */
const MAX_ALIASES = 100;

const SECTIONS = Object.keys(SECTION_PROSE) as SectionName[];

function readSection({ key, value }: Pair<Node, Node | null>, reading: Reading, entries: Map<string, FileEntry>): void {
  const name = keyOf(key);
  const section = SECTIONS.find((one) => plain(one) === plain(name));
  if (section === undefined) return void reading.problems.push(unknownSection(name, reading.placeOf(key)));
  const node = resolved(value, reading);
  if (section === 'plugins' && isSeq(node)) return takePlugins(node, reading.placeOf(key), reading, entries);
  if (isMap(node)) {
    for (const pair of node.items) readEntry(section, pair as Pair<Node, Node | null>, reading, entries);
  } else if (!isNothing(node)) {
    reading.problems.push({
      name: section,
      value: undefined,
      place: reading.placeOf(key),
      allowed: section === 'plugins' ? 'settings by their keys, or a list of plugins of capture' : 'settings by their keys',
      todo: 'write `key: value` lines below it, indented',
    });
  }
}

function readEntry(section: SectionName, { key, value }: Pair<Node, Node | null>, reading: Reading, entries: Map<string, FileEntry>): void {
  const { problems, placeOf } = reading;
  const name = keyOf(key);
  const place = placeOf(key);
  const row = rowOf(section, name);
  if (row === undefined) return void problems.push(unknownKey(section, name, place));
  if (row.entry === CONFIG_FILE)
    return void problems.push({ name: CONFIG_FILE, value: undefined, place, allowed: 'no setting of the file itself', todo: 'remove it' });
  const first = entries.get(row.entry);
  if (first !== undefined) return void problems.push(givenTwice(row.entry, place, first));
  const node = resolved(value, reading);
  if (isNothing(node)) return;
  if (row.setting.kind === 'plugins' && isSeq(node)) return takePlugins(node, place, reading, entries);
  const given = valueOf(node, row.setting, reading);
  if (given !== undefined) entries.set(row.entry, { value: given, place });
  else {
    const shown = isScalar(node) ? maskValue(row.setting, String(node.value)) : isMap(node) ? 'a section' : 'a list';
    const allowed = row.setting.kind === 'list' ? 'a list of texts, or one text with commas' : allowedOf(row.setting);
    problems.push({ name: row.entry, value: shown, isUnreadable: true, place, allowed, todo: 'correct it' });
  }
}

/** A scalar as it was written: `1_000`, `00123` and `yes` are read by the one who knows what they are for. */
function valueOf(node: Node | null, setting: Setting, reading: Reading): GivenValue | undefined {
  if (isScalar(node)) return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
  if (!isSeq(node) || setting.kind !== 'list') return undefined;
  const parts = node.items.map((item) => {
    const one = resolved(item as Node | null, reading);
    return isScalar(one) && one.value !== null ? (typeof one.value === 'string' ? one.value : one.source) : undefined;
  });
  return parts.every((part) => part !== undefined) ? parts : undefined;
}

/** Capture's plugins, which are a setting of capture and may stand as section `plugins` as well. */
function takePlugins(list: YAMLSeq, place: string, reading: Reading, entries: Map<string, FileEntry>): void {
  const { name } = SCHEMA.capture.plugins;
  const first = entries.get(name);
  if (first === undefined) entries.set(name, { value: readDeclarations(list, reading), place });
  else reading.problems.push(givenTwice(name, place, first));
}

const givenTwice = (name: string, place: string, first: FileEntry): Problem => ({
  name,
  value: undefined,
  place,
  allowed: 'one value',
  todo: `remove it here or at ${first.place}`,
});

/** The setting of a key, and the name of its entry. `server` also knows those of capture; a secret may be in a file of its own. */
function rowOf(section: SectionName, key: string): { readonly setting: Setting; readonly entry: string } | undefined {
  for (const row of rowsOf(section)) {
    if (plain(row.key) === plain(key)) return { setting: row.setting, entry: row.setting.name };
    if (row.setting.secret === true && plain(`${row.key}File`) === plain(key)) {
      return { setting: row.setting, entry: `${row.setting.name}_FILE` };
    }
  }
  return undefined;
}

/** The settings of a section of the file. */
function rowsOf(section: SectionName): typeof ALL_SETTINGS {
  const own = ALL_SETTINGS.filter((row) => row.section === section);
  return section === 'server' ? [...own, ...ALL_SETTINGS.filter((row) => row.section === 'capture')] : own;
}

function unknownSection(name: string, place: string): Problem {
  const near = closestKey(name, SECTIONS);
  const variable = ALL_SETTINGS.find(({ setting }) => setting.name === name.toUpperCase());
  const todo =
    variable !== undefined
      ? `write \`${variable.key}\` in section \`${variable.section}\``
      : near === undefined
        ? 'remove it'
        : `did you mean ${near}?`;
  return { name, value: undefined, place, allowed: `the sections ${SECTIONS.join(', ')}`, todo };
}

function unknownKey(section: SectionName, name: string, place: string): Problem {
  const rows = rowsOf(section);
  const variable = ALL_SETTINGS.find(({ setting }) => setting.name === name.toUpperCase());
  const near =
    closestKey(
      name,
      rows.map(({ key }) => key),
    ) ?? (variable === undefined ? undefined : `${variable.key} in section ${variable.section}`);
  const elsewhere = ALL_SETTINGS.find(({ key }) => plain(key) === plain(name));
  const todo =
    near !== undefined
      ? `did you mean ${near}?`
      : elsewhere !== undefined
        ? `did you mean section ${elsewhere.section}?`
        : 'remove it; docs/configuration.md has the keys';
  return { name: `${section}.${name}`, value: undefined, place, allowed: `the keys of section ${section}`, todo };
}
