import type { CaptureTopics } from '../capture/classify.ts';
import type { CaptureRules } from '../capture/rules.ts';
import { createCapture } from '../capture/service.ts';
import { readStaticFiles, type StaticFiles } from '../capture/static-files.ts';
import type { Closers } from './closers.ts';
import type { Config } from '../config/schema.ts';
import { listen } from '../http/listen.ts';
import type { RecordProducer } from '../kafka/port.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import { openCaptureCertificate } from './capture-certificate.ts';
import { guardsOf } from './capture-guards.ts';
import { openCaptureLimits } from './capture-limits.ts';
import { bodyLimitsOf, wireLimitsOf } from './client-limits.ts';
import { openSink } from './open-sink.ts';
import { topicsOf } from './topics.ts';

export interface CaptureParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly closers: Closers;
  readonly producer: RecordProducer;
  /** Redis: where PostHog's billing says who is over quota, and stored events are remembered. Undefined without it. */
  readonly redis: StateStore | undefined;
}

export interface OpenedCapture {
  readonly url: string;
  /** Told to stop: nobody should be sent here any more. */
  isDraining(): boolean;
  /** Whether events would be taken now, even without Kafka. */
  isTaking(): boolean;
}

/** PostHog's capture endpoints. */
export async function openCapture({ config, clock, random, closers, producer, redis }: CaptureParts): Promise<OpenedCapture> {
  const sink = await openSink({ config, clock, closers, producer });
  const topics = captureTopicsOf(config);
  const capture = createCapture({
    sink,
    topics,
    putmessage: {
      topics: config.capture.putmessageTopics,
      ack: config.capture.putmessageAck,
      logMessages: config.capture.putmessageLogMessages,
    },
    clock,
    random,
    rules: rulesOf(config),
    guards: guardsOf(config),
    ...openCaptureLimits({ config, clock, closers, redis, topics }),
    sdk: { recordings: config.capture.recordings },
    files: await staticFiles(config.capture.staticDir),
    limits: bodyLimitsOf(config),
    sampleRatio: config.telemetry.otlpEndpoint === undefined ? 0 : config.telemetry.sampleRatio,
  });
  const certificate = await openCaptureCertificate({ config, clock, closers });
  const server = await listen({
    handle: capture.handle,
    tls: certificate?.current(),
    limits: wireLimitsOf(config),
    host: config.capture.host,
    port: config.capture.port,
    clock,
    name: 'the capture server',
    hostSetting: 'TROUPE_CAPTURE_HOST',
    portSetting: 'TROUPE_CAPTURE_PORT',
  });
  certificate?.watch((identity) => server.present(identity));
  let draining = false;
  closers.push('the capture server', async () => {
    draining = true;
    capture.beginDrain();
    const { announceMs, lingerMs, intakeMs } = config.shutdown;
    await server.drain({ announceMs, lingerMs, graceMs: intakeMs });
  });
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${server.port}`,
    isDraining: () => draining,
    isTaking: () => sink.isTaking(),
  };
}

async function staticFiles(dir: string | undefined): Promise<StaticFiles> {
  try {
    return dir === undefined ? new Map() : await readStaticFiles(dir);
  } catch (error) {
    throw new Error(`TROUPE_CAPTURE_STATIC_DIR cannot be served: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function captureTopicsOf(config: Config): CaptureTopics {
  const { warnings, main, overflow, recordings, recordingsOverflow, historical, heatmaps, exceptions, deadLetter } = topicsOf(config);
  return { main, overflow, recordings, recordingsOverflow, historical, clientWarnings: warnings, heatmaps, exceptions, deadLetter };
}

const DAY_MS = 86_400_000;

function rulesOf({ capture, ingestion }: Config): CaptureRules {
  return {
    dropped: ingestion.dropByTokenDistinctId,
    overflow: {
      limits: capture.overflowEnabled ? { perSecond: capture.overflowPerS, burstCount: capture.overflowBurstCount } : undefined,
      keepsKeys: capture.overflowLocality,
      forced: capture.overflowForced,
    },
    replayOverflowForced: capture.replayOverflowForced,
    historicalAfterMs: capture.historicalRerouting ? capture.historicalDays * DAY_MS : undefined,
  };
}
