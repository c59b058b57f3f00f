/** How single runs of a plugin end: what counts as failed, and what its journal is told of it. */
import { failureDetails } from '../../src/domain/brief-json.ts';
import type { PluginEvent } from '../../src/domain/event.ts';
import { messageOf } from '../../src/domain/strings.ts';
import type { InvocationResult, PluginFault } from '../../src/sandbox/port.ts';
import type { FailedRun } from '../plugin-journal/messages.ts';
import type { Invocation } from './state.ts';

/** G7: the result, or a failure in its place: a plugin that moves an event to another team, a sandbox that gave none. */
export function guarded({ event }: Invocation, result: InvocationResult | undefined): InvocationResult {
  if (result === undefined) return { type: 'failed', message: 'the sandbox gave no result', event: undefined };
  if (result.type === 'dropped' || result.event === undefined || result.event.team_id === event.team_id) return result;
  result.event.team_id = event.team_id;
  const message = 'Plugin tried to change event.team_id';
  return { type: 'failed', message, event: result.event, fault: { name: 'IllegalOperationError', message } };
}

/** @param wentOn the event as it went on after the failure */
export const failedRun = ({ event }: Invocation, fault: PluginFault, wentOn: PluginEvent = event): FailedRun => ({
  fault,
  details: failureDetails(fault, wentOn),
});

/** Of an end by force, in PostHog's words for a deadline (V-14). */
export function faultOf(error: unknown): PluginFault {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return { name: code === 'deadline' ? 'TimeoutError' : error instanceof Error ? error.name : 'Error', message: messageOf(error) };
}
