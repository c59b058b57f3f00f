import { closedOf, steady, type Pace } from '../../kit/http-load.ts';
import type { KafkaNode } from '../../services/kafka.ts';

/** One way of losing what was answered 200. */
export interface Scenario {
  readonly name: string;
  readonly bodyBytes: number;
  /** Of the posts of each server. */
  readonly pace: () => Pace;
  /** What becomes of the broker while all servers are posted to. Resolves when it is well again. */
  readonly trouble: (broker: KafkaNode, posted: Promise<unknown>) => Promise<void>;
}

/** How much of each. */
export interface Scale {
  readonly largeBodies: number;
  readonly awaySeconds: number;
  readonly postsPerSecond: number;
  /** The collector's worker processes, and the messages that may wait in each. */
  readonly workers: number;
  readonly ringCount: number;
}

/** The collector as it is documented on a machine of two cores: a worker for each, and the 50,000 of its library. */
export const DOCUMENTED: Scale = { largeBodies: 2_000, awaySeconds: 10, postsPerSecond: 1_500, workers: 2, ringCount: 50_000 };
/** The same ways, small: for `npm test`. */
export const SHORT: Scale = { largeBodies: 200, awaySeconds: 2, postsPerSecond: 400, workers: 1, ringCount: 1_000 };

const EVENT_BYTES = 734;
const LARGE_BYTES = 20_000;

export function scenariosOf({ largeBodies, awaySeconds, postsPerSecond, workers, ringCount }: Scale): readonly Scenario[] {
  return [
    {
      // nginx puts a body above its client_body_buffer_size (16 kB) into a file; the script asks for what is in memory, which is nothing.
      name: 'bodies of 20 kB',
      bodyBytes: LARGE_BYTES,
      pace: () => closedOf(largeBodies),
      trouble: () => Promise.resolve(),
    },
    {
      // A batch is tried three times within half a second, then handed to error_handle, which writes a line of 2 kB at most.
      name: `broker away for ${awaySeconds} s`,
      bodyBytes: EVENT_BYTES,
      pace: () => steady(awaySeconds + 2, postsPerSecond),
      async trouble(broker) {
        await sleep(1_000);
        await broker.kill();
        await sleep(awaySeconds * 1_000);
        await broker.start();
      },
    },
    {
      // A broker that takes connections and says nothing holds up a worker for seconds at each batch, and nobody reads that the ring is full.
      name: 'full ring, behind a broker that stands still',
      bodyBytes: EVENT_BYTES,
      pace: () => closedOf(Math.ceil(1.5 * workers * ringCount)),
      async trouble(broker, posted) {
        broker.freeze();
        await posted.finally(() => broker.thaw());
      },
    },
  ];
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
