import type { LoadedConfig } from './load.ts';
import { maskValue, textOf } from './mask.ts';
import { ALL_SETTINGS, SECTION_PROSE, type SectionName } from './schema.ts';
import type { Setting, SettingValue } from './setting.ts';

const NAME_WIDTH = Math.max(...ALL_SETTINGS.map(({ setting }) => setting.name.length));
/** Values are seldom longer; one that is pushes its origin to the right. */
const VALUE_WIDTH = 34;
/** Of the text of `--help`: what fits beside another window. */
const LINE_WIDTH = 120;
const MiB = 1024 * 1024;

/**
 * The settings in force, one a line with where each came from: what `--config-check` prints. Secrets are masked. A star marks what is
 * not as it would be by default, with the default beside it.
 */
export function describeConfig({ config, origins, notices }: LoadedConfig): string {
  const lines = [
    'Settings in force. * is set: environment is the variable of that name, file the one that <NAME>_FILE names, config a line',
    'of the configuration file, from … the variables or settings that it was made of.',
    `Configuration file: ${config.server.configFile ?? 'none'}.`,
  ];
  let last: SectionName | undefined;
  for (const { section, key, setting } of ALL_SETTINGS) {
    if (section !== last) lines.push('', `# ${section}: ${SECTION_PROSE[section]}`);
    last = section;
    const value = (config[section] as Readonly<Record<string, SettingValue>>)[key];
    const isAbsent = value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
    const shown = isAbsent ? '(unset)' : `${maskValue(setting, value)}${unitOf(setting)}`;
    const origin = origins.get(setting.name) ?? 'default';
    const isSet = origin !== 'default' && origin !== `from ${setting.derived}`;
    const otherwise = isSet && setting.secret !== true ? `; default: ${defaultOf(setting)}` : '';
    lines.push(`${isSet ? '*' : ' '} ${setting.name.padEnd(NAME_WIDTH)}  ${shown.padEnd(VALUE_WIDTH)}  [${origin}${otherwise}]`);
  }
  if (notices.length > 0) lines.push('', ...notices.map((notice) => `! ${notice}`));
  return lines.join('\n');
}

/** All settings with one line on each and its default: the second half of `--help`. */
export function describeSettings(): string {
  const lines: string[] = [];
  let last: SectionName | undefined;
  for (const { section, setting } of ALL_SETTINGS) {
    if (section !== last) lines.push('', `${section.toUpperCase()}  ${SECTION_PROSE[section]}`);
    last = section;
    const firstSentence = /^.*?[.;](?= |$)/.exec(setting.prose)?.[0].slice(0, -1) ?? setting.prose;
    const usual = defaultOf(setting);
    const kept = usual.length < 30 ? usual.replaceAll(' ', '\u00a0') : usual; // a number stays with its unit
    const [first = '', ...rest] = wrapped(`${firstSentence} [${kept}]`, LINE_WIDTH - NAME_WIDTH - 4);
    lines.push(`  ${setting.name.padEnd(NAME_WIDTH)}  ${first}`, ...rest.map((line) => ' '.repeat(NAME_WIDTH + 4) + line));
  }
  return lines.join('\n').replaceAll('\u00a0', ' ').trimStart();
}

/** The default as people write it, with its unit. */
export function defaultOf(setting: Setting): string {
  if (setting.derived !== undefined && setting.default === undefined) return setting.derived;
  if (setting.default === undefined || (Array.isArray(setting.default) && setting.default.length === 0) || setting.default === '')
    return 'unset';
  const isMiB = 'unit' in setting && setting.unit === 'bytes' && Number(setting.default) % MiB === 0;
  return `${textOf(setting.default)}${unitOf(setting)}${isMiB ? ` (${Number(setting.default) / MiB} MiB)` : ''}`;
}

/** The unit behind a number, with the space before it; what is counted has none. */
function unitOf(setting: Setting): string {
  return 'unit' in setting && !['port', 'count', 'ratio'].includes(setting.unit) ? ` ${setting.unit}` : '';
}

/** The text in lines of at most `width` letters, broken between words. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
