import { pipe, type Take } from './batch.ts';
import { NO_GLOBAL_LIMIT } from './global-limit.ts';
import { limitedGlobally } from './stages/limited-globally.ts';
import { NO_GUARDS } from './guards/guards.ts';
import type { CaptureLimits } from './limits.ts';
import { authPlugins } from './plugins/auth.ts';
import { dataPlugins } from './plugins/data.ts';
import { NO_PLUGINS } from './plugins/open.ts';
import type { RawEvent } from './shapes.ts';
import { NO_RULES } from './rules.ts';
import { accounted } from './stages/accounted.ts';
import { clientAddress } from './stages/client-address.ts';
import { masking } from './stages/masking.ts';
import { quota } from './stages/quota.ts';
import { NO_QUOTAS } from './quotas.ts';
import { dedupe } from './stages/dedupe.ts';
import { overflow } from './stages/overflow.ts';
import { NO_RESTRICTIONS } from './restrictions/watch.ts';
import { RESTRICTING_EVENTS, RESTRICTING_RECORDINGS, restricted } from './stages/restricted.ts';
import { NO_REPLAY_OVERFLOW } from './replay-overflow.ts';
import { overflowRecordings } from './stages/replay-overflow.ts';
import { admitted, ADMITS_ALL } from './stages/admitted.ts';
import { COUNTING_EVENTS, COUNTING_RECORDINGS, spending } from './stages/spending.ts';
import { tailored, TAILORING_EVENTS, TAILORING_RECORDINGS } from './stages/tailored.ts';
import { tokenDropper } from './stages/token-dropper.ts';
import { prepare } from './stages/prepare.ts';
import { produce } from './stages/produce.ts';
import { prepareRecording } from './stages/prepare-recording.ts';
import { produceRecording } from './stages/produce-recording.ts';
import type { CaptureOptions, ChainOptions } from './options.ts';

/** The way of analytics events, whichever protocol they came by: spec/capture.md 7 has the order. */
export function wayOfEvents(
  {
    sink,
    topics,
    random,
    rules = NO_RULES,
    quotas = NO_QUOTAS,
    restrictions = NO_RESTRICTIONS,
    dedupe: remembered,
    tokens = ADMITS_ALL,
    spending: spendable,
    globalLimit = NO_GLOBAL_LIMIT,
    guards = NO_GUARDS,
    plugins = NO_PLUGINS,
    lasting,
  }: ChainOptions,
  limits: CaptureLimits,
): Take<RawEvent> {
  const stages = [
    tokenDropper(rules.dropped),
    ...(tokens.registry === undefined ? [] : [tailored(TAILORING_EVENTS)]),
    restricted(restrictions, RESTRICTING_EVENTS),
    ...(remembered === undefined ? [] : [dedupe(remembered)]),
    spending(spendable, COUNTING_EVENTS, rules.overflow.keepsKeys),
    limitedGlobally(globalLimit, rules.isGlobalDryRun),
    overflow(rules.overflow, lasting.overflowLimiter),
    masking(guards.masking),
  ];
  const { historicalAfterMs } = rules;
  return pipe(
    [
      accounted,
      authPlugins(plugins.auth),
      admitted(tokens),
      quota(quotas, 'events'),
      clientAddress(guards.addresses),
      dataPlugins(plugins.data),
    ],
    prepare({ random, historicalAfterMs }, pipe(stages, produce({ sink, topics, ...limits }))),
  );
}

/** The way of session recordings. */
export function wayOfRecordings(
  {
    sink,
    topics,
    random,
    quotas = NO_QUOTAS,
    restrictions = NO_RESTRICTIONS,
    replayOverflow = NO_REPLAY_OVERFLOW,
    tokens = ADMITS_ALL,
    spending: spendable,
    rules = NO_RULES,
    guards = NO_GUARDS,
    plugins = NO_PLUGINS,
  }: CaptureOptions,
  limits: CaptureLimits,
): Take<RawEvent> {
  const stages = [
    ...(tokens.registry === undefined ? [] : [tailored(TAILORING_RECORDINGS)]),
    restricted(restrictions, RESTRICTING_RECORDINGS),
    overflowRecordings(replayOverflow, rules.replayOverflowForced),
    spending(spendable, COUNTING_RECORDINGS, true),
  ];
  return pipe(
    [accounted, authPlugins(plugins.auth), admitted(tokens), quota(quotas, 'recordings'), clientAddress(guards.addresses)],
    prepareRecording(random, pipe(stages, produceRecording({ sink, topics, ...limits }))),
  );
}
