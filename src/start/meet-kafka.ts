import { messageOf } from '../domain/strings.ts';
import { capabilitiesOf } from '../config/modes.ts';
import { tryKafka } from '../kafka/first-contact.ts';
import type { KafkaConnection } from '../kafka/connection.ts';
import type { TopicAdmin } from '../kafka/port.ts';
import { state } from '../observe/facts.ts';
import { sleep } from '../runtime/patience.ts';
import type { AssembleDeps } from './assemble-deps.ts';
import { contact, ContactError } from './contact/contact.ts';
import { kafkaTarget } from './contact/targets.ts';
import { requireTopics } from './open-kafka.ts';
import { neededTopics } from './topics.ts';

type Deps = Pick<AssembleDeps, 'config' | 'clock' | 'closers' | 'say'>;

const RETRY_MS = 5_000;

/**
 * The first contact, and the topics that are needed (K-1). Without it a process does not start; but one that only captures has the spill: it
 * starts while nobody answers, and goes on asking. A pod that is moved during an outage would lose what its clients have no patience to keep.
 */
export async function meetKafka(deps: Deps, connection: KafkaConnection, admin: TopicAdmin): Promise<void> {
  const { config, clock, closers, say } = deps;
  const target = kafkaTarget(config);
  const { contactTimeoutMs } = config.server;
  const meet = async (): Promise<void> => {
    await contact(target, { clock, limitMs: contactTimeoutMs }, () => tryKafka(connection));
    const patience = { clock, limitMs: contactTimeoutMs + config.kafka.topicCreationTimeoutMs };
    await contact(target, patience, () => requireTopics(admin, neededTopics(config)));
  };
  try {
    await meet();
  } catch (error) {
    const capturesAlone = capabilitiesOf(config.server.mode).intakes.length === 0;
    if (!capturesAlone || !(error instanceof ContactError) || !error.passes) throw error;
    say(`${error.message}\nEvents are kept in the spill until it does.`);
    let isClosed = false;
    closers.push('the wait for Kafka', () => void (isClosed = true));
    void keepAsking(meet, { clock, isClosed: () => isClosed });
  }
}

/** What is wrong besides silence (a topic that may not be made) is logged: the events that wait for it are in the spill. */
async function keepAsking(
  meet: () => Promise<void>,
  { clock, isClosed }: { clock: Deps['clock']; isClosed: () => boolean },
): Promise<void> {
  while (!isClosed()) {
    await sleep(clock, RETRY_MS);
    try {
      return await meet();
    } catch (error) {
      if (isClosed()) return;
      const fields = { error: messageOf(error) };
      state('log-written', { level: 'error', message: 'Kafka has not been met yet.', fields });
    }
  }
}
