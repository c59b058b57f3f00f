/**
 * What one would write by hand to get Troupe's promise, one to a process: node:http, parse, one record for each event, merged over requests
 * for LINGER_MS, and an answer when every replica has it. `kafkajs` or `platformatic` sends the records.
 *
 * They check nothing, know one shape of body, and count no bytes: a floor, not an alternative.
 *
 * Environment: CLIENT, TOPIC, KAFKA_HOSTS, LINGER_MS. Tells its port to its parent; ends at SIGTERM.
 */
import { compatibilityPartitioner, ProduceAcks, Producer } from '@platformatic/kafka';
import kafkajs from 'kafkajs';
import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

const { CLIENT = '', TOPIC = '', KAFKA_HOSTS = '', LINGER_MS = '' } = process.env;
const brokers = KAFKA_HOSTS.split(',');
const lingerMs = Number(LINGER_MS);

interface Message {
  readonly key: Buffer;
  readonly value: Buffer;
}
/** Resolves when all in-sync replicas have the messages. */
type Send = (messages: Message[]) => Promise<unknown>;

const handle = bare(merging(CLIENT === 'kafkajs' ? await kafkajsSend() : platformaticSend()));
const server = createServer({ keepAliveTimeout: 75_000 }, handle);
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('SIGTERM', () => process.exit(0));

interface InputEvent {
  readonly distinct_id: string;
  readonly api_key?: string;
}
type Body = InputEvent | { readonly api_key: string; readonly batch: readonly InputEvent[] };

function bare(send: Send): RequestListener {
  return (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const bytes = Buffer.concat(chunks);
      const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString('utf8');
      const body = JSON.parse(text) as Body;
      const now = new Date().toISOString();
      const messages = ('batch' in body ? body.batch : [body]).map((event) => {
        const envelope = {
          uuid: randomUUID(),
          distinct_id: event.distinct_id,
          ip: request.socket.remoteAddress,
          data: JSON.stringify(event),
          now,
          token: body.api_key,
        };
        return { key: Buffer.from(`${body.api_key}:${event.distinct_id}`), value: Buffer.from(JSON.stringify(envelope)) };
      });
      send(messages).then(
        () => response.writeHead(200, { 'content-type': 'application/json' }).end('{"status":1}'),
        () => response.writeHead(503).end(),
      );
    });
  };
}

/** What comes within the linger is sent as one call, and all its callers wait for that call. */
function merging(send: Send): Send {
  let waiting: { messages: Message[]; sent: Promise<unknown> } | undefined;
  return (messages) => {
    if (waiting !== undefined) {
      waiting.messages.push(...messages);
      return waiting.sent;
    }
    const all = [...messages];
    const sent = new Promise((resolve) => setTimeout(resolve, lingerMs)).then(() => {
      waiting = undefined;
      return send(all);
    });
    waiting = { messages: all, sent };
    return sent;
  };
}

async function kafkajsSend(): Promise<Send> {
  const producer = new kafkajs.Kafka({ brokers, clientId: 'bench-kafkajs' }).producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  return (messages) => producer.send({ topic: TOPIC, acks: -1, messages });
}

function platformaticSend(): Send {
  const producer = new Producer<Buffer, Buffer, Buffer, Buffer>({
    clientId: 'bench-platformatic',
    bootstrapBrokers: brokers,
    autocreateTopics: false,
    partitioner: compatibilityPartitioner,
  });
  return (messages) => producer.send({ acks: ProduceAcks.ALL, messages: messages.map(({ key, value }) => ({ topic: TOPIC, key, value })) });
}
