import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { captureLimitsOf, openCaptureInRedis } from '../../../src/start/capture-limits.ts';
import { createClosers } from '../../../src/start/closers.ts';
import { neededTopics, topicsOf } from '../../../src/start/topics.ts';
import { manualClock } from '../../kit/clock.ts';
import { EMPTY_STATE } from '../../kit/troupe.ts';
import { TOPICS } from '../capture/kit.ts';

const configOf = (env: Readonly<Record<string, string>>) => loadConfig({ REDIS_URL: 'redis://127.0.0.1:1', ...env }).config;

/** What the settings make of capture's limits, with a Redis that is opened with those same settings. */
function limitsOf(env: Readonly<Record<string, string>>) {
  const config = configOf(env);
  const [clock, closers] = [manualClock(), createClosers()];
  const known = openCaptureInRedis({ config, clock, closers, redis: EMPTY_STATE, topics: TOPICS });
  return { limits: captureLimitsOf(config, known), known, clock, closers };
}

describe("capture's limits, from settings", () => {
  it('with nothing set only quotas are read, and nothing stands in the way of a token', () => {
    const { limits, known } = limitsOf({});
    expect(limits).toEqual({ tokens: { listed: [], refusesUnknown: false, registry: undefined }, quotas: known.quotas });
  });

  it.each<[env: Readonly<Record<string, string>>, refuses: boolean]>([
    [{ TROUPE_CAPTURE_TOKENS: 'phc_a' }, true],
    [{ TROUPE_CAPTURE_TOKENS: 'phc_a', TROUPE_CAPTURE_UNKNOWN_TOKENS: 'accept' }, false],
    [{ TROUPE_CAPTURE_UNKNOWN_TOKENS: 'refuse', TROUPE_CAPTURE_TOKEN_SETTINGS: 'true' }, true],
    [{ TROUPE_CAPTURE_TOKEN_SETTINGS: 'true' }, false],
  ])('row 29: %j: an unknown token is refused: %s', (env, refuses) => {
    expect(limitsOf(env).limits.tokens).toMatchObject({ refusesUnknown: refuses });
  });

  it('a list of tokens needs no Redis', () => {
    expect(captureLimitsOf(configOf({ TROUPE_CAPTURE_TOKENS: 'phc_a' }), undefined)).toEqual({
      tokens: { listed: ['phc_a'], refusesUnknown: true, registry: undefined },
    });
  });

  it('other settings make other limits of what was opened once', () => {
    const { known } = limitsOf({ TROUPE_CAPTURE_TOKEN_SETTINGS: 'true' });
    const env = { TROUPE_CAPTURE_RATE_PER_S: '5', TROUPE_CAPTURE_RATE_BURST_COUNT: '9', TROUPE_CAPTURE_RATE_OVER: 'drop' };
    const { spending, tokens } = captureLimitsOf(configOf({ ...env, TROUPE_CAPTURE_ALLOWANCES: 'true', REDIS_KEY_PREFIX: 'px' }), known);
    expect(spending).toMatchObject({
      keyPrefix: 'px',
      hasAllowances: true,
      rates: { rate: { perSecond: 5, burstCount: 9 }, over: 'drop' },
    });
    expect(spending?.hurried).toBe(known.hurried);
    expect(tokens?.registry).toBe(known.registry);
  });

  it('what reads in the background ends with the closers', async () => {
    const env = { EVENT_RESTRICTIONS_ENABLED: 'true', REPLAY_OVERFLOW_SESSIONS_ENABLED: 'true', GLOBAL_RATE_LIMIT_ENABLED: 'true' };
    const { limits, clock, closers } = limitsOf(env);
    expect(Object.keys(limits).sort()).toEqual(['globalLimit', 'quotas', 'replayOverflow', 'restrictions', 'tokens']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.pendingCount).toBe(4);
    await closers.closeAll();
    expect(clock.pendingCount).toBe(0);
  });

  it.each<[env: Readonly<Record<string, string>>, topics: readonly ('overflow' | 'recordingsOverflow' | 'deadLetter')[]]>([
    [{}, []],
    [{ EVENT_RESTRICTIONS_ENABLED: 'true' }, ['overflow', 'recordingsOverflow', 'deadLetter']],
    [{ REPLAY_OVERFLOW_FORCED_TOKENS: 'phc_a' }, ['recordingsOverflow']],
    [{ TROUPE_CAPTURE_RATE_PER_S: '1' }, ['overflow', 'recordingsOverflow']],
    [{ TROUPE_CAPTURE_RATE_PER_S: '1', TROUPE_CAPTURE_RATE_OVER: 'drop' }, []],
    [{ GLOBAL_RATE_LIMIT_ENABLED: 'true' }, ['overflow']],
  ])('%j: capture alone makes the topics that it may send aside to: %j', (env, expected) => {
    const config = configOf({ PLUGIN_SERVER_MODE: 'capture', KAFKA_HOSTS: 'k:9092', ...env });
    const { overflow, recordingsOverflow, deadLetter } = topicsOf(config);
    const aside = { overflow, recordingsOverflow, deadLetter };
    const needed = new Set(neededTopics(config));
    expect(Object.entries(aside).flatMap(([name, topic]) => (needed.has(topic) ? [name] : []))).toEqual(expected);
  });
});
