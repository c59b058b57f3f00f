import { describe, expect, test } from 'vitest';
import { NO_GLOBAL_LIMIT } from '../../../src/capture/global-limit.ts';
import type { Take } from '../../../src/capture/batch.ts';
import { NO_QUOTAS } from '../../../src/capture/quotas.ts';
import { NO_REPLAY_OVERFLOW } from '../../../src/capture/replay-overflow.ts';
import { NO_RESTRICTIONS } from '../../../src/capture/restrictions/watch.ts';
import { admitted, ADMITS_ALL } from '../../../src/capture/stages/admitted.ts';
import { limitedGlobally } from '../../../src/capture/stages/limited-globally.ts';
import { quota } from '../../../src/capture/stages/quota.ts';
import { overflowRecordings } from '../../../src/capture/stages/replay-overflow.ts';
import { RESTRICTING_EVENTS, restricted } from '../../../src/capture/stages/restricted.ts';
import { COUNTING_EVENTS, spending } from '../../../src/capture/stages/spending.ts';

/** What is not configured costs nothing: its stage is not there, so no request waits for it, and nothing is made for one. */
describe('a capture without limits', () => {
  const next: Take<unknown> = () => Promise.reject(new Error('only its identity counts'));
  test.for<[stage: string, made: unknown]>([
    ['admitted', admitted(ADMITS_ALL)(next)],
    ['quota', quota(NO_QUOTAS, 'events')(next)],
    ['restricted', restricted(NO_RESTRICTIONS, RESTRICTING_EVENTS)(next)],
    ['spending', spending(undefined, COUNTING_EVENTS, false)(next)],
    ['limitedGlobally', limitedGlobally(NO_GLOBAL_LIMIT)(next)],
    ['overflowRecordings', overflowRecordings(NO_REPLAY_OVERFLOW, [])(next)],
  ])('%s is what stands behind it', ([, made]) => {
    expect(made).toBe(next);
  });
});
