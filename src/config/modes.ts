/**
 * PostHog's modes (spec/ingestion.md 9.1) as capabilities of one binary: which input topics a process reads, whether it serves capture,
 * and what PostHog would run besides, that is not built here. Pure; main.ts starts what it says, rules.ts refuses what it cannot.
 */
export const MODES = [
  'null',
  'capture',
  'ingestion',
  'analytics-ingestion',
  'ingestion-overflow',
  'ingestion-historical',
  'events-ingestion',
  'recordings-blob-ingestion',
  'recordings-blob-ingestion-overflow',
  'async',
  'async-onevent',
  'async-webhooks',
  'jobs',
  'scheduler',
  'cdp-processed-events',
  'cdp-function-callbacks',
  'cdp-cyclotron-worker',
  'functional-tests',
] as const;
export type Mode = (typeof MODES)[number];

/** Values of PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE: which of the three pipelines of `events-ingestion` run; unset is all. */
export const PIPELINES = ['ingestion_warnings', 'heatmaps', 'exceptions'] as const;
export type Pipeline = (typeof PIPELINES)[number];

/** The input topics of events, by what comes in. Each is an intake of its own. */
export type IntakeName = 'main' | 'overflow' | 'historical' | Pipeline;

/** What PostHog's plugin-server does and Troupe does not, or not yet; in words for an operator. */
export type Missing =
  | 'session replay'
  | 'onEvent and composeWebhook of plugins'
  | 'webhooks of actions'
  | 'plugin jobs'
  | 'scheduled plugin tasks'
  | 'hog functions';

export interface Capabilities {
  readonly intakes: readonly IntakeName[];
  /** Whether capture is served when TROUPE_CAPTURE_ENABLED does not say. */
  readonly capture: boolean;
  readonly missing: readonly Missing[];
  /** Whether PostHog's web is told, through Redis, that a plugin-server lives (C-8). */
  readonly preflight: boolean;
}

const ASYNC: readonly Missing[] = ['plugin jobs', 'scheduled plugin tasks', 'onEvent and composeWebhook of plugins', 'webhooks of actions'];

const only = (...missing: readonly Missing[]): Capabilities => ({ intakes: [], capture: false, missing, preflight: false });
const reads = (...intakes: readonly IntakeName[]): Capabilities => ({ intakes, capture: false, missing: [], preflight: false });

const TABLE: Readonly<Record<Mode, Capabilities>> = {
  null: {
    intakes: ['main', 'overflow', 'historical', ...PIPELINES],
    capture: true,
    missing: [...ASYNC, 'session replay', 'hog functions'],
    preflight: true,
  },
  capture: { intakes: [], capture: true, missing: [], preflight: false },
  ingestion: reads('main'),
  'analytics-ingestion': reads('main'),
  'ingestion-overflow': reads('overflow'),
  'ingestion-historical': reads('historical'),
  'events-ingestion': reads(...PIPELINES),
  'recordings-blob-ingestion': only('session replay'),
  'recordings-blob-ingestion-overflow': only('session replay'),
  // PostHog's README names it, its code refuses it: the union of the four below.
  async: only(...ASYNC),
  'async-onevent': only('onEvent and composeWebhook of plugins'),
  'async-webhooks': only('webhooks of actions'),
  jobs: only('plugin jobs'),
  scheduler: only('scheduled plugin tasks'),
  'cdp-processed-events': only('hog functions'),
  'cdp-function-callbacks': only('hog functions'),
  'cdp-cyclotron-worker': only('hog functions'),
  'functional-tests': {
    intakes: ['main', 'historical', ...PIPELINES],
    capture: true,
    missing: [...ASYNC, 'session replay'],
    preflight: true,
  },
};

const isPipeline = (intake: IntakeName): intake is Pipeline => (PIPELINES as readonly string[]).includes(intake);

/** What a process of this mode runs. `pipeline` leaves one of the three pipelines; it says nothing about the other intakes. */
export function capabilitiesOf(mode: Mode, pipeline?: Pipeline): Capabilities {
  const all = TABLE[mode];
  if (pipeline === undefined) return all;
  return { ...all, intakes: all.intakes.filter((intake) => !isPipeline(intake) || intake === pipeline) };
}

/** True when nothing of what the mode asks for is built: such a process would look healthy and do nothing. */
export const runsNothing = ({ intakes, capture }: Capabilities): boolean => intakes.length === 0 && !capture;
