/**
 * Three ways in which the nginx + Lua collector of spec/capture.md 16.2 loses messages that it answered 200, and Troupe's `/putmessage`
 * beside it, waiting and answering early: the same posts at the same time, in front of the same broker.
 *
 *     node test/fault/collector-losses.ts [--scenario 'broker away'] [--short]
 *
 * What was answered 200 is looked for in Kafka, byte by byte, when the servers have had peace and time. Prints a table; exit code 1 when
 * Troupe lost anything. Without nginx and its Lua packages Troupe is alone.
 */
import { parseArgs } from 'node:util';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { COLLECTOR_KAFKA, probeCollector } from '../bench/collector/start.ts';
import { startKafka } from '../services/kafka.ts';
import { readTopic } from '../services/read-topic.ts';
import { until } from '../services/surroundings.ts';
import { postBodies } from './losses/posts.ts';
import { DOCUMENTED, scenariosOf, SHORT, type Scale, type Scenario } from './losses/scenarios.ts';
import { COLLECTOR, DURABLE, EARLY, startServer, type Server, type ServerName } from './losses/servers.ts';
import { lossOf, type Loss } from './losses/verdict.ts';

export interface LossesOptions {
  readonly scale: Scale;
  readonly withCollector: boolean;
  /** The beginning of a scenario's name. @defaultValue all */
  readonly only?: string | undefined;
}
export interface ServerLoss extends Loss {
  readonly scenario: string;
  readonly server: ServerName;
}

const PARTITIONS = 3;
const LIMIT_MS = 240_000;
/** No longer than this passes between two records while there are more to come, if all of them come. */
const QUIET_MS = 2_500;
/** Longer than the collector takes for what it still has when the broker is well again: a timeout of three seconds, and its wait of one. */
const GIVEN_UP_MS = 5_000;

/** Resolves to what each server lost in each scenario. */
export async function runLosses({ scale, withCollector, only = '' }: LossesOptions): Promise<readonly ServerLoss[]> {
  const scenarios = scenariosOf(scale).filter(({ name }) => name.startsWith(only));
  const names: readonly ServerName[] = withCollector ? [COLLECTOR, DURABLE, EARLY] : [DURABLE, EARLY];
  const kafka = await startKafka(withCollector ? { version: COLLECTOR_KAFKA } : {});
  const brokers = kafka.brokers();
  const admin = createKafkaAdmin({ connection: { brokers, clientId: 'losses' }, clock: systemClock });
  const servers: Server[] = [];
  const losses: ServerLoss[] = [];

  async function run(scenario: Scenario): Promise<void> {
    const { name, bodyBytes, pace, trouble } = scenario;
    const [broker] = kafka.nodes;
    if (broker === undefined) throw new Error('there is no broker');
    const posting = Promise.all(servers.map((server) => postBodies({ port: server.port, topic: topicOf(server.name, name), bodyBytes, pace: pace() }))); // prettier-ignore
    const [all] = await Promise.all([posting, trouble(broker, posting)]);
    await Promise.all(servers.map((server, index) => settled(admin, server, topicOf(server.name, name), all[index]?.answered.length ?? 0)));
    for (const [index, server] of servers.entries()) {
      const posted = all[index];
      if (posted === undefined) throw new Error('a server that nobody posted to');
      const records = await readTopic({ brokers, clientId: 'losses' }, admin, topicOf(server.name, name), LIMIT_MS);
      losses.push({ scenario: name, server: server.name, ...lossOf(posted, records, await server.errorLog(), bodyBytes) });
    }
  }

  try {
    for (const name of names) {
      const topics = scenarios.map((scenario) => topicOf(name, scenario.name));
      await admin.ensureTopics(topics.map((topic) => ({ topic, partitions: PARTITIONS })));
      servers.push(await startServer(name, { brokers, topics, scale }));
    }
    for (const scenario of scenarios) await run(scenario);
    return losses;
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await admin.close();
    await kafka.stop();
  }
}

const topicOf = (server: string, scenario: string): string => `${server} ${scenario}`.replaceAll(/\W+/g, '-');

/** Resolves when nothing more will come into a topic: all of it came, or none came for long, and the server holds no more. */
async function settled(admin: TopicAdmin, server: Server, topic: string, answered: number): Promise<void> {
  let held = -1;
  let sinceMs = 0;
  await until(
    async () => {
      const now = (await admin.endOffsets(topic)).reduce((sum, { offset }) => sum + offset, 0);
      if (now !== held || (await server.holdsMore())) sinceMs = performance.now();
      held = now;
      return performance.now() - sinceMs > (held >= answered ? QUIET_MS : GIVEN_UP_MS);
    },
    `${server.name}: nothing more comes to ${topic}`,
    LIMIT_MS,
  );
}

/** As docs/capture.md has it. */
export function tableOf(losses: readonly ServerLoss[]): string {
  const count = (n: number): string => n.toLocaleString('en');
  const rows = losses.map(
    ({ scenario, server, answered, refused, lost, twice, told, whole }) =>
    ['', scenario, server, count(answered), count(refused), count(lost), server === COLLECTOR ? `${count(told)}, ${count(whole)} whole` : '', count(twice), ''].join(' | ').trim(), // prettier-ignore
  );
  return ['| | | answered 200 | refused | lost | of it in its error log | twice |', '|---|---|--:|--:|--:|--:|--:|', ...rows].join('\n');
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { scenario: { type: 'string' }, short: { type: 'boolean', default: false } } });
  const missing = await probeCollector().then(() => undefined, (error: Error) => error.message); // prettier-ignore
  if (missing !== undefined) console.log(`Troupe alone: ${missing}`);
  const losses = await runLosses({ scale: values.short ? SHORT : DOCUMENTED, withCollector: missing === undefined, only: values.scenario });
  console.log(tableOf(losses));
  process.exit(losses.some(({ server, lost }) => server !== COLLECTOR && lost > 0) ? 1 : 0);
}
