import { isAbsolute, join, resolve } from 'node:path';
import { systemDisk } from '../capture/spill/disk.ts';
import { thisLife } from '../capture/spill/life.ts';
import { lineOf, replayAll, takeInventory, type Inventory } from '../capture/spill/operator.ts';
import { createOwnership, type Ownership } from '../capture/spill/ownership.ts';
import { readSegment } from '../capture/spill/segment.ts';
import type { Config } from '../config/schema.ts';
import { tryKafka } from '../kafka/first-contact.ts';
import { observe } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';
import { contact } from './contact/contact.ts';
import { kafkaTarget } from './contact/targets.ts';
import { kafkaConnection, kafkaProducer } from './open-kafka.ts';

/** `troupe spill …`, with what the command line said. */
export interface SpillAction {
  readonly action: 'list' | 'inspect' | 'replay';
  /** Of `inspect`: files, from here or from the spill directory. */
  readonly paths: readonly string[];
  /** Of `replay`: kept segments too. */
  readonly withKept: boolean;
}

export interface SpillCommandParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
  readonly say: (line: string) => void;
}

/** Resolves to the code the process ends with: 1 when something is left that ought to be in Kafka, or a file is not whole. */
export async function runSpillCommand(asked: SpillAction, parts: SpillCommandParts): Promise<number> {
  const { capture } = parts.config;
  const dir = resolve(capture.spillDir ?? '');
  const life = await thisLife(`${capture.spillInstance ?? ''}-cli`, capture.spillLeaseMs);
  const ownership = createOwnership({ dir, disk: systemDisk, clock: parts.clock, life });
  parts.closers.push('the spill', () => ownership.release());
  switch (asked.action) {
    case 'list':
      return list(dir, ownership, parts);
    case 'inspect':
      return inspect(dir, asked.paths, parts);
    case 'replay':
      return replay(dir, ownership, { ...parts, withKept: asked.withKept });
  }
}

async function list(dir: string, ownership: Ownership, { say }: SpillCommandParts): Promise<number> {
  const found = await takeInventory(dir, systemDisk, ownership);
  if (found.length === 0) say(`Nothing is spilled in ${dir}.`);
  for (const one of found) say(describe(one));
  return 0;
}

function describe({ folder, topic, segments, kept, records, bytes, oldestMs, codes }: Inventory): string {
  const since = oldestMs === undefined ? '' : `, since ${new Date(oldestMs).toISOString()}, because of ${codes.join(', ')}`;
  return `${folder.name} (${folder.state})  ${topic}  ${segments} segments, ${kept} kept, ${records} records, ${bytes} bytes${since}`;
}

async function inspect(dir: string, paths: readonly string[], { say }: SpillCommandParts): Promise<number> {
  let code = 0;
  for (const path of paths) {
    const { records, state, lostBytes } = readSegment(await readFrom(path, dir));
    for (const record of records) say(lineOf(record));
    if (state === 'whole') continue;
    say(JSON.stringify({ segment: path, state, lostBytes }));
    code = 1;
  }
  return code;
}

async function readFrom(path: string, dir: string): Promise<Buffer> {
  try {
    return await systemDisk.read(path);
  } catch (error) {
    if (isAbsolute(path) || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return systemDisk.read(join(dir, path));
  }
}

async function replay(
  dir: string,
  ownership: Ownership,
  { config, clock, closers, say, withKept }: SpillCommandParts & { readonly withKept: boolean },
): Promise<number> {
  if (config.kafka.hosts.length === 0) throw new Error('There is no Kafka to replay to: set KAFKA_HOSTS.');
  const connection = kafkaConnection(config);
  await contact(kafkaTarget(config), { clock, limitMs: config.server.contactTimeoutMs }, () => tryKafka(connection));
  const producer = kafkaProducer({ config, clock }, connection, { lingerMs: config.kafka.producerLingerMs });
  closers.push('the Kafka producer', () => producer.close());
  const replayed = new Map<string, number>();
  const end = observe('spill-replayed', ({ topic, records }) => replayed.set(topic, (replayed.get(topic) ?? 0) + records));
  closers.push('the count of records', end);

  const options = { dir, disk: systemDisk, ownership, producer, clock, leaseMs: config.capture.spillLeaseMs, withKept };
  const { emptied, failed, held } = await replayAll(options);
  for (const [topic, records] of replayed) say(`${records} records replayed to ${topic}`);
  if (emptied.length + failed.length === 0) say(`Nothing in ${dir} waits for somebody to replay it.`);
  for (const name of held) say(`${name} is held by a process that lives: it replays by itself`);
  for (const name of failed) say(`${name} is not empty: Kafka did not take all of it`);
  return failed.length === 0 ? 0 : 1;
}
