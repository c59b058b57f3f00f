import { state } from '../../observe/facts.ts';
import type { Stage } from '../batch.ts';
import { NO_REPLAY_OVERFLOW, type ReplayOverflow } from '../replay-overflow.ts';
import type { PreparedRecording } from './prepare-recording.ts';

/**
 * Sends aside the recordings of sessions that overflow, and all of the tokens that are listed (spec/capture.md 7.2). Their key stays the session, so
 * a session keeps its order there.
 */
export function overflowRecordings(sessions: ReplayOverflow, forced: readonly string[]): Stage<PreparedRecording> {
  const tokens = new Set(forced);
  if (sessions === NO_REPLAY_OVERFLOW && tokens.size === 0) return (next) => next;
  return (next) => (batch) => {
    const [recording] = batch.events;
    if (recording?.lane !== 'recordings' || recording.topic !== undefined) return next(batch);
    const isForced = tokens.has(batch.token);
    if (!isForced && !sessions.isOverflowing(recording.sessionId)) return next(batch);
    state('capture-events-rerouted', {
      to: 'overflow',
      reason: isForced ? 'force_limited' : 'replay_limited',
      count: recording.eventCount,
    });
    return next({ ...batch, events: [{ ...recording, lane: 'recordingsOverflow' }] });
  };
}
