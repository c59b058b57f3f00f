import { messageOf } from '../domain/strings.ts';
import { closest } from './closest.ts';
import { composeAddresses } from './compose-addresses.ts';
import { readConfigFile, type ConfigFile, type FileEntry } from './config-file.ts';
import { environmentOf } from './environment.ts';
import type { Problem } from './problem.ts';
import { ALL_SETTINGS, CONFIG_FILE } from './schema.ts';
import type { GivenValue } from './setting.ts';

export type Env = Readonly<Record<string, string | undefined>>;
/**
 * Where a value came from, for people: `environment` is the variable of the setting's own name, `file` the one that
 * `<NAME>_FILE` names, `config` a line of the configuration file, `from …` other settings or the parts of an address.
 */
export type Origin = 'default' | 'environment' | 'command line' | `file ${string}` | `config ${string}` | `from ${string}`;

export interface GivenSources {
  readonly env: Env;
  /** `NAME=value` pairs of the command line. */
  readonly overrides: readonly string[];
  readonly readFile: (path: string) => string;
}

/** A value that somebody gave, not read yet. */
export interface Given {
  readonly value: GivenValue;
  readonly origin: Origin;
}

const NO_FILE: ConfigFile = { entries: new Map(), problems: [] };

/**
 * What is given for each setting that is not left to its default. The later one wins: default of PostHog's environment, configuration file,
 * file of a secret, environment, parts of an address, command line. An empty value is none. Says into `problems` what cannot be read.
 */
export function readGiven({ env, overrides, readFile }: GivenSources, problems: Problem[]): ReadonlyMap<string, Given> {
  const given = new Map<string, Given>();
  const take = (name: string, value: GivenValue | undefined, origin: Origin): void => {
    if (value !== undefined && value !== '') given.set(name, { value, origin });
  };
  const pairs = new Map(overrides.map((pair) => split(pair)));
  const path = pairs.get(CONFIG_FILE) ?? env[CONFIG_FILE] ?? '';
  const file = path === '' ? NO_FILE : readConfigFile(path, readFile);
  problems.push(...file.problems);

  const nodeEnv = pairs.get('NODE_ENV') ?? env['NODE_ENV'] ?? textOf(file.entries.get('NODE_ENV'));
  const environment = environmentOf(nodeEnv, env['DEBUG']);
  for (const { setting } of ALL_SETTINGS) {
    const { name } = setting;
    if (environment !== 'production') take(name, setting.byEnvironment?.[environment], 'from NODE_ENV');
    const inFile = file.entries.get(name);
    if (setting.secret === true) readSecret(name, textOf(file.entries.get(`${name}_FILE`)));
    take(name, inFile?.value, `config ${inFile?.place ?? ''}`);
    if (setting.secret === true) readSecret(name, env[`${name}_FILE`]);
    take(name, env[name], 'environment');
  }
  const isOverFile = (name: string): boolean => given.has(name) && !given.get(name)?.origin.startsWith('config ');
  for (const { name, value, parts } of composeAddresses(env, isOverFile)) take(name, value, `from ${parts.join(', ')}`);
  for (const pair of overrides) {
    const [name, value] = split(pair);
    if (ALL_SETTINGS.some(({ setting }) => setting.name === name)) take(name, value, 'command line');
    else if (!name.startsWith('TROUPE_')) problems.push(notASetting(pair, name));
  }
  return given;

  function readSecret(name: string, secretPath: string | undefined): void {
    if (secretPath === undefined || secretPath === '') return;
    try {
      take(name, readFile(secretPath).trimEnd(), `file ${secretPath}`);
    } catch (error) {
      const todo = messageOf(error);
      problems.push({ name: `${name}_FILE`, value: secretPath, allowed: 'a file that can be read', todo });
    }
  }
}

const split = (pair: string): readonly [name: string, value: string] => {
  const cut = pair.indexOf('=');
  return [pair.slice(0, Math.max(cut, 0)), pair.slice(cut + 1)];
};
const textOf = (entry: FileEntry | undefined): string | undefined => (typeof entry?.value === 'string' ? entry.value : undefined);

function notASetting(pair: string, name: string): Problem {
  const cut = pair.indexOf('=');
  return { name: '--set', value: pair.slice(0, cut < 0 ? undefined : cut), allowed: 'NAME=value of a setting', todo: suggestion(name) };
}

/** What to do about a name that is none of a setting. */
export function suggestion(name: string): string {
  const near = closest(
    name,
    ALL_SETTINGS.map(({ setting }) => setting.name),
  );
  return near === undefined ? 'remove it; --help lists all settings' : `did you mean ${near}?`;
}
