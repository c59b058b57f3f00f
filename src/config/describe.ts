import type { LoadedConfig } from './load.ts';
import { maskValue } from './mask.ts';
import { ALL_SETTINGS, SECTION_PROSE, type SectionName } from './schema.ts';
import type { Setting, SettingValue } from './setting.ts';

/** The settings in force, one a line with where each came from: what `--config-check` prints. Secrets are masked. */
export function describeConfig({ config, origins, notices }: LoadedConfig): string {
  const nameWidth = Math.max(...ALL_SETTINGS.map(({ setting }) => setting.name.length));
  const lines: string[] = [];
  let last: SectionName | undefined;
  for (const { section, key, setting } of ALL_SETTINGS) {
    if (section !== last) lines.push('', `# ${SECTION_PROSE[section]}`);
    last = section;
    const value = (config[section] as Readonly<Record<string, SettingValue>>)[key];
    const shown = value === undefined || (Array.isArray(value) && value.length === 0) ? '(unset)' : maskValue(setting, value) || '(empty)';
    lines.push(`${setting.name.padEnd(nameWidth)}  ${shown}  [${origins.get(setting.name) ?? 'default'}]`);
  }
  if (notices.length > 0) lines.push('', ...notices.map((notice) => `! ${notice}`));
  return lines.join('\n').trimStart();
}

/** All settings with their defaults, one a line: the second half of `--help`. */
export function describeSettings(): string {
  const nameWidth = Math.max(...ALL_SETTINGS.map(({ setting }) => setting.name.length));
  const lines: string[] = [];
  let last: SectionName | undefined;
  for (const { section, setting } of ALL_SETTINGS) {
    if (section !== last) lines.push('', `${SECTION_PROSE[section]}`);
    last = section;
    const firstSentence = /^.*?[.:;](?= |$)/.exec(setting.prose)?.[0].slice(0, -1) ?? setting.prose;
    lines.push(`  ${setting.name.padEnd(nameWidth)}  ${firstSentence} [${defaultOf(setting)}]`);
  }
  return lines.join('\n').trimStart();
}

/** The default as people write it, with its unit. */
export function defaultOf(setting: Setting): string {
  if (setting.derived !== undefined && setting.default === undefined) return setting.derived;
  if (setting.default === undefined || (Array.isArray(setting.default) && setting.default.length === 0) || setting.default === '')
    return 'unset';
  if (setting.kind !== 'integer' && setting.kind !== 'number') return String(setting.default);
  return setting.unit === 'port' || setting.unit === 'count' || setting.unit === 'ratio'
    ? String(setting.default)
    : `${setting.default} ${setting.unit}`;
}
