import { startCollector } from '../../bench/collector/start.ts';
import { startTroupe } from '../../services/troupe.ts';
import type { Scale } from './scenarios.ts';

export const COLLECTOR = 'nginx + Lua';
export const DURABLE = 'Troupe';
export const EARLY = 'Troupe, ack none';
export type ServerName = typeof COLLECTOR | typeof DURABLE | typeof EARLY;

/** Something with a `/putmessage`. */
export interface Server {
  readonly name: ServerName;
  readonly port: number;
  /** Whether messages wait on its disk that it will still send by itself. */
  holdsMore(): Promise<boolean>;
  /** What it has written into its error log since it was last asked. */
  errorLog(): Promise<string>;
  stop(): Promise<unknown>;
}

export interface ServerOptions {
  readonly brokers: readonly string[];
  /** What may be posted to. */
  readonly topics: readonly string[];
  readonly scale: Scale;
}

export function startServer(name: ServerName, options: ServerOptions): Promise<Server> {
  switch (name) {
    case COLLECTOR:
      return startNginx(options);
    case DURABLE:
      return startOurs(name, 'durable', options);
    case EARLY:
      return startOurs(name, 'none', options);
  }
}

async function startNginx({ brokers, scale }: ServerOptions): Promise<Server> {
  const collector = await startCollector({ brokers, workers: scale.workers, maxBufferingCount: scale.ringCount });
  let read = 0;
  return {
    name: COLLECTOR,
    port: collector.port,
    holdsMore: () => Promise.resolve(false), // its disk is not for reading
    async errorLog() {
      const text = await collector.errorLog();
      const more = text.slice(read);
      read = text.length;
      return more;
    },
    stop: () => collector.stop(),
  };
}

async function startOurs(name: ServerName, ack: 'durable' | 'none', { brokers, topics }: ServerOptions): Promise<Server> {
  const troupe = await startTroupe({
    env: {
      PLUGIN_SERVER_MODE: 'capture',
      KAFKA_HOSTS: brokers.join(','),
      TROUPE_PUTMESSAGE_TOPICS: topics.join(','),
      TROUPE_PUTMESSAGE_ACK: ack,
    },
  });
  return {
    name,
    port: Number(new URL(troupe.urls.capture).port),
    async holdsMore() {
      const [pending, diverted] = [await troupe.metric('spill_pending_total'), await troupe.metric('troupe_spill_diverted')];
      return pending > 0 || diverted > 0; // neither is there before the first
    },
    errorLog: () => Promise.resolve(''), // nobody has to bring anything back by hand
    stop: () => troupe.stop(),
  };
}
