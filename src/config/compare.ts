import { isDeepStrictEqual } from 'node:util';
import { maskValue } from './mask.ts';
import { ALL_SETTINGS, type Config } from './schema.ts';
import type { Setting, SettingValue } from './setting.ts';

/** A setting whose value is another one. */
export interface ConfigChange {
  readonly name: string;
  /** Of a secret, its mask: that it changed is all that is shown. */
  readonly before: string;
  readonly after: string;
  /** A running process can take it; otherwise it waits for a restart. */
  readonly isReloadable: boolean;
}

type Sections = Readonly<Record<string, Readonly<Record<string, SettingValue>>>>;

/** What differs, in the order of docs/configuration.md. */
export function changesBetween(before: Config, after: Config): readonly ConfigChange[] {
  return ALL_SETTINGS.flatMap(({ section, key, setting }) => {
    const [was, is] = [(before as Sections)[section]?.[key], (after as Sections)[section]?.[key]];
    if (isDeepStrictEqual(was, is)) return [];
    return [{ name: setting.name, before: shown(setting, was), after: shown(setting, is), isReloadable: setting.reloadable === true }];
  });
}

/** `running`, with the reloadable values of `wanted`. */
export function withReloadable(running: Config, wanted: Config): Config {
  const sections: Record<string, Record<string, SettingValue>> = {};
  for (const { section, key, setting } of ALL_SETTINGS) {
    const source = setting.reloadable === true ? wanted : running;
    (sections[section] ??= {})[key] = (source as Sections)[section]?.[key];
  }
  return sections as unknown as Config; // the sections and keys are those of SCHEMA, which Config is derived from
}

/** The value of a setting as it may be shown. */
export const shownValue = (setting: Setting, config: Config, section: string, key: string): string =>
  shown(setting, (config as Sections)[section]?.[key]);

const shown = (setting: Setting, value: SettingValue): string => (value === undefined ? 'unset' : maskValue(setting, value));
