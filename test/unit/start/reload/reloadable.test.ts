import { expect, it } from 'vitest';
import { NO_PLUGINS } from '../../../../src/capture/plugins/open.ts';
import { loadConfig } from '../../../../src/config/load.ts';
import { ALL_SETTINGS, type Config } from '../../../../src/config/schema.ts';
import { captureOptions, type CaptureResources } from '../../../../src/start/capture-server.ts';
import { liveDropList } from '../../../../src/start/reload/live-drop-list.ts';
import { systemClock, systemRandom } from '../../../../src/runtime/clock.ts';

/** What is asked anew at each use, wherever that stands: the level by main.ts, the tokens by the admin server's door. */
const ASKED_ELSEWHERE = ['LOG_LEVEL', 'TROUPE_ADMIN_TOKEN'];
/** What a chain reads as well, and cannot have another value of while the process runs, because somebody else has read it at the start. */
const FIXED: Readonly<Record<string, string>> = {
  OTEL_EXPORTER_OTLP_ENDPOINT: 'the exporter of traces',
  TROUPE_TRACE_SAMPLE_RATIO: 'the routers, which trace events of other captures',
  REQUEST_TIMEOUT_SECONDS: 'the server, which ends what a handler does not',
  REDIS_KEY_PREFIX: 'the readers of quotas and of settings of tokens',
};

/** The names of the settings that `use` reads. */
function readsOf(env: Readonly<Record<string, string>>, use: (config: Config) => unknown): ReadonlySet<string> {
  const names = new Set<string>();
  const { config } = loadConfig(env);
  const watched = Object.fromEntries(
    Object.entries(config).map(([section, values]) => [
      section,
      new Proxy(values, {
        get(target, key) {
          const row = ALL_SETTINGS.find((one) => one.section === section && one.key === key);
          if (row !== undefined) names.add(row.setting.name);
          return Reflect.get(target, key) as unknown;
        },
      }),
    ]),
  );
  use(watched as unknown as Config);
  return names;
}

it('row 38: a setting is reloadable exactly when what a reload builds anew reads it', () => {
  const resources = { sink: {}, clock: systemClock, random: systemRandom, topics: {}, plugins: NO_PLUGINS, files: new Map() };
  // Nothing of what stands in Redis is asked here: it is handed through.
  const inRedis = { store: {}, hurried: {}, quotas: {}, restrictions: undefined, replayOverflow: undefined, registry: undefined };
  const chain = (config: Config): unknown => captureOptions(config, { ...resources, inRedis } as unknown as CaptureResources);
  // Some are only read when another one is on.
  const on = {
    OVERFLOW_ENABLED: 'true',
    ENABLE_HISTORICAL_REROUTING: 'true',
    TROUPE_CAPTURE_DEDUPE_MS: '1000',
    REDIS_URL: 'redis://cache',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector',
    TROUPE_CAPTURE_SIGNING: 'required',
    TROUPE_CAPTURE_SIGNING_KEYS: `a:${'s'.repeat(40)}`,
    TROUPE_CAPTURE_RATE_PER_S: '1',
  };
  const read = new Set([...readsOf(on, chain), ...readsOf({}, liveDropList), ...ASKED_ELSEWHERE, 'TROUPE_CAPTURE_STATIC_DIR']);
  for (const name of Object.keys(FIXED)) {
    expect([name, read.has(name)]).toEqual([name, true]);
    read.delete(name);
  }
  const reloadable = ALL_SETTINGS.filter(({ setting }) => setting.reloadable === true).map(({ setting }) => setting.name);
  expect([...read].sort()).toEqual(reloadable.sort());
});
