import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeConfig } from '../../../src/config/describe.ts';
import { ConfigError, loadConfig, type Env } from '../../../src/config/load.ts';
import type { Problem } from '../../../src/config/problem.ts';
import { ALL_SETTINGS, type SectionName } from '../../../src/config/schema.ts';
import type { Setting, SettingValue } from '../../../src/config/setting.ts';

const FILE = { TROUPE_CONFIG_FILE: 't.yaml' };
const load = (text: string, env: Env = {}, overrides: readonly string[] = []) =>
  loadConfig({ ...FILE, ...env }, { hostName: 'h', overrides, readFile: (path) => (path === 't.yaml' ? text : `in ${path}\n`) });

function problemsOf(text: string, env: Env = {}): readonly Problem[] {
  try {
    load(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** A few lines that mean a billion entries. */
function bomb(): string {
  const rows = Array.from({ length: 9 }, (_, at) => `  a${at + 1}: &a${at + 1} [${Array.from({ length: 9 }, () => `*a${at}`).join(', ')}]`);
  return `kafka:\n  a0: &a0 [x]\n${rows.join('\n')}`;
}

/** A text that is not the default of a setting, where it may have one. */
function otherThanDefault(setting: Setting): string {
  switch (setting.kind) {
    case 'boolean':
      return String(setting.default !== true);
    case 'choice':
      return setting.choices.find((choice) => choice !== setting.default) ?? '';
    case 'url':
      return `${setting.schemes[0]}://somewhere/1`;
    case 'integer':
    case 'number':
      return String(setting.default === setting.min ? setting.min + 1 : setting.min);
    case 'text':
    case 'list':
    case 'plugins':
      return 'something';
  }
}

describe('row 37: a configuration file', () => {
  it('says of every setting what a variable would say', () => {
    const ends = (loaded: () => SettingValue): unknown => {
      try {
        return loaded();
      } catch (error) {
        // A rule between settings was broken, or a name is none: by either way the same.
        return error instanceof ConfigError ? error.problems.map(({ name, allowed }) => [name, allowed]) : error;
      }
    };
    const rows = ALL_SETTINGS.filter(({ setting }) => setting.name !== 'TROUPE_CONFIG_FILE');
    for (const { section, key, setting } of rows) {
      const text = otherThanDefault(setting);
      const valueOf = ({ config }: { config: object }) => (config as Record<string, Record<string, SettingValue>>)[section]?.[key];
      const byFile = ends(() => valueOf(load(`${section}:\n  ${key}: ${JSON.stringify(text)}`)));
      const byVariable = ends(() => valueOf(loadConfig({ [setting.name]: text }, { hostName: 'h' })));
      expect([setting.name, byFile]).toEqual([setting.name, byVariable]);
    }
  });

  it('has the four sections of the document, in any case, and the others', () => {
    const { config, origins } = load(`
Server: { Port: 9000, LOG_LEVEL: warn, body-bytes: 100_000 }
Kafka: { Hosts: [a:1, b:2], prefix: x_ }
Redis: { URL: redis://cache }
Plugins: [one, { Module: two, Kind: auth, timeout_ms: 5, OnError: refuse, Config: { keys: [1, '2'] } }]
capture: { overflowForced: ['t:a,b', 00123] }
clickhouse: { host: ch }
postgres: { url: postgres://db/x }
`);
    expect(config.capture).toMatchObject({ port: 9000, bodyBytes: 100_000, overflowForced: ['t:a,b', '00123'] });
    expect(config.server.logLevel).toBe('warn');
    expect(config.kafka).toMatchObject({ hosts: ['a:1', 'b:2'], prefix: 'x_' });
    expect(config.redis.url).toBe('redis://cache');
    const auth = { module: 'two', kind: 'auth', timeoutMs: 5, onError: 'refuse', config: { keys: [1, '2'] } };
    expect(config.capture.plugins).toEqual([{ module: 'one' }, auth]);
    expect(origins.get('TROUPE_CAPTURE_PORT')).toBe('config t.yaml:2');
    expect(origins.get('TROUPE_CAPTURE_PLUGINS')).toBe('config t.yaml:5');
  });

  it('may be JSON', () => {
    expect(load('{"server": {"port": 9000}, "kafka": {"hosts": []}}').config.capture.port).toBe(9000);
  });

  it('section plugins may be settings as well, and name plugins of capture by their modules alone', () => {
    expect(load('plugins: { taskTimeoutS: 7 }').config.plugins.taskTimeoutS).toBe(7);
    expect(load('capture: { plugins: [a] }').config.capture.plugins).toEqual([{ module: 'a' }]);
    expect(loadConfig({ TROUPE_CAPTURE_PLUGINS: 'a, ./b.ts' }).config.capture.plugins).toEqual([{ module: 'a' }, { module: './b.ts' }]);
  });

  it('stands under the environment and the command line, and over the defaults of PostHog’s environments', () => {
    const text = 'server: { logLevel: error, httpPort: 1, inspectPort: 2, environment: test }\nredis: { url: redis://file }';
    const { config, origins } = load(text, { HTTP_SERVER_PORT: '3', POSTHOG_REDIS_HOST: 'env' }, ['TROUPE_INSPECT_PORT=4']);
    expect(config.server).toMatchObject({ logLevel: 'error', httpPort: 3, inspectPort: 4 });
    expect(config.geoip.disabled).toBe(true); // NODE_ENV=test, as the file says
    expect(config.redis.url).toBe('redis://env:6379');
    expect(['LOG_LEVEL', 'HTTP_SERVER_PORT', 'TROUPE_INSPECT_PORT'].map((name) => origins.get(name))).toEqual([
      'config t.yaml:1',
      'environment',
      'command line',
    ]);
    expect(load('postgres: { url: postgres://file/a }', { POSTHOG_DB_NAME: 'env' }).config.postgres.url).toContain('/env');
  });

  it('is the one that the command line names, before the one of the environment', () => {
    const loaded = loadConfig(
      { TROUPE_CONFIG_FILE: 'other.yaml' },
      { overrides: ['TROUPE_CONFIG_FILE=t.yaml'], readFile: (path) => `server: { port: ${path === 't.yaml' ? 1 : 2} }` },
    );
    expect(loaded.config.capture.port).toBe(1);
  });

  it('may point at the file of a secret', () => {
    const { config, origins } = load('clickhouse: { passwordFile: /run/ch }');
    expect([config.clickhouse.password, origins.get('CLICKHOUSE_PASSWORD')]).toEqual(['in /run/ch', 'file /run/ch']);
  });

  it('blanks around the parts of a list, and empty parts, are nothing, as in a variable', () => {
    expect(load(`capture: { overflowForced: [' a ', '', "b,c"] }`).config.capture.overflowForced).toEqual(['a', 'b,c']);
    expect(load('capture: { overflowForced: " a ,,b" }').config.capture.overflowForced).toEqual(['a', 'b']);
  });

  it('values that are nothing are left to their default', () => {
    expect(load('server: { port: , logLevel: "" }\nkafka:\n').config.capture.port).toBe(8010);
  });

  it('aliases of YAML stand for what they name', () => {
    expect(
      load('ingestion: { dropByTokenDistinctId: &all [a, b] }\ncapture: { overflowForced: *all }').config.capture.overflowForced,
    ).toEqual(['a', 'b']);
  });
});

describe('row 37: what is wrong in a configuration file is told with its line', () => {
  it.each<[string, string, Partial<Problem>]>([
    ['an unknown section', '\nkafk: {}', { name: 'kafk', place: 't.yaml:2', todo: 'did you mean kafka?' }],
    ['a variable for a section', 'KAFKA_HOSTS: a', { name: 'KAFKA_HOSTS', todo: 'write `hosts` in section `kafka`' }],
    ['an unknown key', 'capture:\n  bodyByte: 1', { name: 'capture.bodyByte', place: 't.yaml:2', todo: 'did you mean bodyBytes?' }],
    ['a variable for a key', 'capture:\n  TROUPE_REDIS_CA: 1', { todo: 'did you mean ca in section redis?' }],
    ['a key of another section', 'postgres:\n  hosts: a', { todo: 'did you mean section kafka?' }],
    ['a key that is like none', 'redis:\n  abracadabra: a', { todo: 'remove it; docs/configuration.md has the keys' }],
    ['a text for a number', 'capture:\n\n  port: many', { name: 'TROUPE_CAPTURE_PORT', value: 'many', place: 't.yaml:3' }],
    ['a boolean for a number', 'server: { port: true }', { name: 'TROUPE_CAPTURE_PORT', value: 'true', place: 't.yaml:1' }],
    ['a number out of bounds', 'server: { port: 70000 }', { name: 'TROUPE_CAPTURE_PORT', value: '70000', place: 't.yaml:1' }],
    ['a list for a number', 'server: { port: [1] }', { name: 'TROUPE_CAPTURE_PORT', value: 'a list', place: 't.yaml:1' }],
    ['a section for a text', 'kafka: { prefix: { a: 1 } }', { name: 'KAFKA_PREFIX', value: 'a section' }],
    ['a list in a list', 'kafka: { hosts: [[a]] }', { name: 'KAFKA_HOSTS', value: 'a list' }],
    ['a section that is none', 'kafka: 7', { name: 'kafka', place: 't.yaml:1' }],
    ['one setting twice', 'server: { port: 1 }\ncapture: { port: 1 }', { name: 'TROUPE_CAPTURE_PORT', place: 't.yaml:2' }],
    ['plugins twice', 'plugins: [a]\ncapture: { plugins: [b] }', { name: 'TROUPE_CAPTURE_PLUGINS', place: 't.yaml:2' }],
    ['its own name', 'server: { configFile: x }', { name: 'TROUPE_CONFIG_FILE', place: 't.yaml:1' }],
    ['no YAML', 'server:\n  port: [1', { name: 'TROUPE_CONFIG_FILE', place: 't.yaml:2' }],
    ['a key twice', 'server: { port: 1 }\nserver: { port: 2 }', { name: 'TROUPE_CONFIG_FILE', place: 't.yaml:2' }],
    ['an alias of nothing', 'server: *x', { name: 'TROUPE_CONFIG_FILE', place: 't.yaml' }],
    ['an alias of nothing, deep in a plugin', 'plugins: [{ module: a, config: [*x] }]', { name: 'TROUPE_CONFIG_FILE' }],
    ['aliases that multiply', bomb(), { name: 'TROUPE_CONFIG_FILE' }],
    ['two documents', 'server: {}\n---\nkafka: {}', { name: 'TROUPE_CONFIG_FILE' }],
    ['nothing at all', '', { name: 'TROUPE_CONFIG_FILE', todo: 'write at least one section into it; it has none' }],
    ['a text', 'hello', { name: 'TROUPE_CONFIG_FILE' }],
    ['a plugin without a module', 'plugins:\n  - kind: data', { name: 'plugins.module', place: 't.yaml:2' }],
    ['a plugin of no kind', 'plugins: [{ module: a, kind: magic }]', { name: 'plugins.kind', allowed: 'data, auth, storage' }],
    ['a plugin with a wrong time', 'plugins: [{ module: a, timeoutMs: 1s }]', { name: 'plugins.timeoutMs' }],
    ['a plugin with an unknown key', 'plugins: [{ modul: a }]', { name: 'plugins.modul', todo: 'did you mean module?' }],
    ['a plugin that is a number', 'plugins: [7]', { name: 'plugins', place: 't.yaml:1' }],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)[0]).toMatchObject(expected);
  });

  it('all of it at once, with what is wrong in the environment', () => {
    const problems = problemsOf('server:\n  port: x\n  por: 1\nkafka:\n  maxBytes: 1', { LOG_LEVEL: 'loud' });
    expect(problems.map(({ name, place }) => [name, place])).toEqual([
      ['server.por', 't.yaml:3'],
      ['LOG_LEVEL', undefined],
      ['TROUPE_CAPTURE_PORT', 't.yaml:2'],
      ['KAFKA_CONSUMPTION_MAX_BYTES', 't.yaml:5'],
    ]);
  });

  it('a file that cannot be read', () => {
    expect(() => loadConfig({ TROUPE_CONFIG_FILE: '/no/such/file' })).toThrow(/TROUPE_CONFIG_FILE \(\/no\/such\/file\)[^]*ENOENT/);
  });

  it('and nothing of a secret, wherever it stands', () => {
    const text = `
redis: { url: 'redis://:hunter2@cache' }
clickhouse: { password: hunter2 }
kafka: { saslPassword: [hunter2] }
plugins: [{ module: a, config: { key: hunter2 } }]`;
    expect(JSON.stringify(problemsOf(text))).not.toContain('hunter2');
    const shown = describeConfig(load(text.replace(/kafka.*/, '')));
    expect(shown).not.toContain('hunter2');
    expect(shown).toContain('redis://:******@cache');
    expect(shown).toContain('[config t.yaml:2]');
  });
});

it('no two settings that section server takes have one key', () => {
  const keysOf = (name: SectionName): string[] =>
    ALL_SETTINGS.filter(({ section }) => section === name).map(({ key }) => key.toLowerCase());
  expect(keysOf('capture').filter((key) => keysOf('server').includes(key))).toEqual([]);
});

it('deploy/troupe.yaml is right, also with what stands there as a comment', () => {
  const text = readFileSync(new URL('../../../deploy/troupe.yaml', import.meta.url), 'utf8');
  const everything = text
    .replace('plugins: []', 'plugins:')
    .replaceAll(/^#(?= {2})/gm, ' ')
    .replaceAll(/^ {2}# (?=\w+:)/gm, '  ');
  for (const one of [text, everything]) expect(problemsOf(one)).toEqual([]);
  expect(load(everything).config.capture.plugins).toHaveLength(1);
  expect(load(everything).config.kafka.saslPassword).toBe('in /run/secrets/kafka');
  const { config } = load(text);
  expect(config.server.mode).toBe('capture');
  expect(config.kafka.hosts).toHaveLength(3);
});
