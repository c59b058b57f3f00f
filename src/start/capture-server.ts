import { messageOf } from '../domain/strings.ts';
import type { CaptureTopics } from '../capture/classify.ts';
import type { OpenedPlugins } from '../capture/plugins/open.ts';
import { storing } from '../capture/plugins/storage.ts';
import type { CaptureRules } from '../capture/rules.ts';
import type { CaptureOptions } from '../capture/options.ts';
import { createCapture } from '../capture/service.ts';
import type { EventSink } from '../capture/sink.ts';
import { readStaticFiles, type StaticFiles } from '../capture/static-files.ts';
import type { Closers } from './closers.ts';
import type { Config } from '../config/schema.ts';
import { listen } from '../http/listen.ts';
import type { RecordProducer } from '../kafka/port.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import { openCaptureCertificate } from './capture-certificate.ts';
import { guardsOf } from './capture-guards.ts';
import { captureLimitsOf, openCaptureInRedis, type CaptureInRedis } from './capture-limits.ts';
import { bodyLimitsOf, wireLimitsOf } from './client-limits.ts';
import { openSink } from './open-sink.ts';
import type { ReloadTarget } from './reload/reloader.ts';
import { topicsOf } from './topics.ts';

export interface CaptureParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly closers: Closers;
  readonly producer: RecordProducer;
  /** Redis: where PostHog's billing says who is over quota, and stored events are remembered. Undefined without it. */
  readonly redis: StateStore | undefined;
  readonly plugins: OpenedPlugins;
}

export interface OpenedCapture {
  readonly url: string;
  /** Told to stop: nobody should be sent here any more. */
  isDraining(): boolean;
  /** Whether events would be taken now, even without Kafka. */
  isTaking(): boolean;
  /** Takes other settings while it serves. */
  readonly reload: ReloadTarget;
}

/** PostHog's capture endpoints. */
export async function openCapture({ config, clock, random, closers, producer, redis, plugins }: CaptureParts): Promise<OpenedCapture> {
  const inner = await openSink({ config, clock, closers, producer });
  const sink = storing(inner, plugins.storage, clock);
  closers.push('the mirrors of capture', () => sink.settled());
  const topics = captureTopicsOf(config);
  const inRedis = redis === undefined ? undefined : openCaptureInRedis({ config, clock, closers, redis, topics });
  let files = await staticFiles(config.capture.staticDir);
  const optionsOf = (settings: Config, scripts: StaticFiles): CaptureOptions =>
    captureOptions(settings, { sink, clock, random, topics, plugins, inRedis, files: scripts });
  const capture = createCapture(optionsOf(config, files));
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
    isTaking: () => inner.isTaking(),
    reload: {
      name: 'capture',
      async prepare(next, running) {
        const isSame = next.capture.staticDir === running.capture.staticDir;
        const scripts = isSame ? files : await staticFiles(next.capture.staticDir);
        const swap = capture.prepare(optionsOf(next, scripts));
        return () => {
          files = scripts;
          swap();
        };
      },
    },
  };
}

/** What a chain is built from besides settings: opened once, and the same for all chains. */
export interface CaptureResources {
  readonly sink: EventSink;
  readonly clock: Clock;
  readonly random: Random;
  readonly topics: CaptureTopics;
  readonly plugins: OpenedPlugins;
  /** Undefined without Redis. */
  readonly inRedis: CaptureInRedis | undefined;
  readonly files: StaticFiles;
}

/** The options of capture that settings ask for. Has no effect: a reload makes them beside those in force. */
export function captureOptions(config: Config, { inRedis, ...resources }: CaptureResources): CaptureOptions {
  const { putmessageTopics, putmessageAck, putmessageLogMessages, recordings } = config.capture;
  return {
    ...resources,
    ...captureLimitsOf(config, inRedis),
    putmessage: { topics: putmessageTopics, ack: putmessageAck, logMessages: putmessageLogMessages },
    rules: rulesOf(config),
    guards: guardsOf(config),
    sdk: { recordings },
    accessLog: config.capture.accessLog,
    limits: bodyLimitsOf(config),
    sampleRatio: config.telemetry.otlpEndpoint === undefined ? 0 : config.telemetry.sampleRatio,
  };
}

async function staticFiles(dir: string | undefined): Promise<StaticFiles> {
  try {
    return dir === undefined ? new Map() : await readStaticFiles(dir);
  } catch (error) {
    throw new Error(`TROUPE_CAPTURE_STATIC_DIR cannot be served: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function captureTopicsOf(config: Config): CaptureTopics {
  const { warnings, main, overflow, recordings, recordingsOverflow, historical, heatmaps, exceptions, deadLetter } = topicsOf(config);
  return { main, overflow, recordings, recordingsOverflow, historical, clientWarnings: warnings, heatmaps, exceptions, deadLetter };
}

const DAY_MS = 86_400_000;

function rulesOf({ capture, tokens, ingestion }: Config): CaptureRules {
  return {
    dropped: ingestion.dropByTokenDistinctId,
    overflow: {
      limits: capture.overflowEnabled ? { perSecond: capture.overflowPerS, burstCount: capture.overflowBurstCount } : undefined,
      keepsKeys: capture.overflowLocality,
      forced: capture.overflowForced,
    },
    replayOverflowForced: tokens.replayOverflowForced,
    isGlobalDryRun: tokens.globalDryRun,
    historicalAfterMs: capture.historicalRerouting ? capture.historicalDays * DAY_MS : undefined,
  };
}
