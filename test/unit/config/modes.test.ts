import { describe, expect, it } from 'vitest';
import { capabilitiesOf, MODES, PIPELINES, runsNothing, type Mode } from '../../../src/config/modes.ts';

const PIPES = ['ingestion_warnings', 'heatmaps', 'exceptions'];

describe('9.1: capabilities of a mode', () => {
  it.each<[Mode, readonly string[]]>([
    ['null', ['main', 'overflow', 'historical', ...PIPES]],
    ['ingestion', ['main']],
    ['analytics-ingestion', ['main']],
    ['ingestion-overflow', ['overflow']],
    ['ingestion-historical', ['historical']],
    ['events-ingestion', PIPES],
    ['functional-tests', ['main', 'historical', ...PIPES]],
    ['capture', []],
    ['jobs', []],
    ['async', []],
  ])('%s reads %j', (mode, intakes) => {
    expect(capabilitiesOf(mode).intakes).toEqual(intakes);
  });

  it.each(PIPELINES)('PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE=%s leaves that one, and all that is no pipeline', (pipeline) => {
    expect(capabilitiesOf('events-ingestion', pipeline).intakes).toEqual([pipeline]);
    expect(capabilitiesOf('null', pipeline).intakes).toEqual(['main', 'overflow', 'historical', pipeline]);
    expect(capabilitiesOf('ingestion', pipeline).intakes).toEqual(['main']);
  });

  it('sharp edge 31: no mode reads a topic twice', () => {
    for (const mode of MODES) {
      const { intakes } = capabilitiesOf(mode);
      expect(new Set(intakes).size).toBe(intakes.length);
    }
  });

  it('async is the union of jobs, scheduler, async-onevent and async-webhooks', () => {
    const parts = (['jobs', 'scheduler', 'async-onevent', 'async-webhooks'] as const).flatMap((mode) => capabilitiesOf(mode).missing);
    expect(new Set(capabilitiesOf('async').missing)).toEqual(new Set(parts));
  });

  it("C-8: modes null and functional-tests answer PostHog's preflight", () => {
    expect(MODES.filter((mode) => capabilitiesOf(mode).preflight)).toEqual(['null', 'functional-tests']);
  });

  it('a mode that runs nothing says what is missing', () => {
    const idle = MODES.filter((mode) => runsNothing(capabilitiesOf(mode)));
    expect(idle).toHaveLength(10);
    for (const mode of idle) expect(capabilitiesOf(mode).missing).not.toEqual([]);
  });
});
