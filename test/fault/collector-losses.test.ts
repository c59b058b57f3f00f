import { beforeAll, describe, expect, test } from 'vitest';
import { probeCollector } from '../bench/collector/start.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka } from '../services/kafka.ts';
import { runLosses, tableOf, type ServerLoss } from './collector-losses.ts';
import { bodyOf, numberOf } from './losses/posts.ts';
import { scenariosOf, SHORT } from './losses/scenarios.ts';
import { COLLECTOR, DURABLE, EARLY, type ServerName } from './losses/servers.ts';
import { lossOf, readErrorLog } from './losses/verdict.ts';

const kafka = await requireService('kafka', probeKafka);
/** Not a service that Troupe needs: its absence is said, and is no failure where CI=true either. */
const withCollector = await probeCollector().then(
  () => true,
  (error: Error) => {
    console.warn(`SKIPPED: what the collector loses. ${error.message}`);
    return false;
  },
);
const [large, away, frozen] = scenariosOf(SHORT).map(({ name }) => name);

/** The short form of `node test/fault/collector-losses.ts`. */
describe.skipIf(!kafka.available)('/putmessage beside the collector that it stands in for (16.2)', () => {
  let losses: readonly ServerLoss[];
  beforeAll(async () => {
    losses = await runLosses({ scale: SHORT, withCollector });
    console.log(tableOf(losses));
  }, 240_000);

  const of = (server: ServerName, scenario: string | undefined): ServerLoss => {
    const found = losses.find((one) => one.server === server && one.scenario === scenario);
    if (found === undefined) throw new Error(`nobody posted to ${server} for '${scenario}'`);
    return found;
  };

  const OURS = ([DURABLE, EARLY] as const).flatMap((server) => [large, away, frozen].map((scenario) => [server, scenario] as const));
  test.for(OURS)('rows 3, 9, 11: %s, %s: every post is answered 200, none is lost', ([server, scenario]) => {
    expect(of(server, scenario)).toMatchObject({ refused: 0, lost: 0 });
    expect(of(server, scenario).answered).toBeGreaterThan(100);
  });

  describe.skipIf(!withCollector)('the collector says 200 as often, and', () => {
    test('row 4: has nothing of any body above 16 kB', () => {
      const { answered, lost, told } = of(COLLECTOR, large);
      expect([answered, lost, told]).toEqual([SHORT.largeBodies, SHORT.largeBodies, 0]);
    });

    test('row 8: loses what comes while the broker is away; its error log names the batches and has few messages to their end', () => {
      const { answered, lost, told, whole } = of(COLLECTOR, away);
      expect(answered).toBe(of(DURABLE, away).answered);
      expect(lost).toBeGreaterThan(SHORT.postsPerSecond);
      expect(told).toBeGreaterThan(lost / 2);
      expect(whole).toBeLessThan(lost / 10);
    });

    test('row 9: loses what does not fit into its buffer, and nothing says so', () => {
      const { answered, lost, told } = of(COLLECTOR, frozen);
      expect(answered).toBe(of(DURABLE, frozen).answered);
      expect(lost - told).toBeGreaterThan(0);
    });
  });
});

describe('the verdict on a /putmessage', () => {
  const valueOf = (body: string): Buffer => Buffer.from(JSON.stringify({ body_data: body }));
  const record = (value: Buffer) => ({ offset: 0, key: null, value, headers: undefined, timestampMs: 0 });

  test('finds a body again, and only the very same', () => {
    expect(numberOf(bodyOf(7, 734), 734)).toBe(7);
    expect(bodyOf(7, 734)).toHaveLength(734);
    expect(numberOf(bodyOf(7, 733), 734)).toBeUndefined();
    expect(numberOf('{}', 734)).toBeUndefined();
  });

  test('counts what was answered and is not there, or not as it was', () => {
    const records = [0, 1, 1].map((n) => record(valueOf(bodyOf(n, 300))));
    const cut = record(valueOf(bodyOf(2, 299)));
    const verdict = lossOf({ answered: [0, 1, 2, 3], refused: 5 }, [...records, cut, record(Buffer.from('{}'))], '', 300);
    expect(verdict).toEqual({ answered: 4, refused: 5, lost: 2, twice: 1, told: 0, whole: 0 });
  });

  test('reads a line of the error log up to where it was cut', () => {
    const entries = [0, 1, 2].flatMap((n) => ['', valueOf(bodyOf(n, 300)).toString()]);
    const line = `2026/11/21 [error] 1#1: Error handle: index 6 partition_id 0 retryable true json ${JSON.stringify(entries)}`;
    expect(readErrorLog(`${line.slice(0, 900)}\n`, 300)).toEqual({ told: 3, whole: [0, 1] });
  });
});
