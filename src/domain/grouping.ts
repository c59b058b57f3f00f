import type { EventGroup, PendingEvent } from './event.ts';

/** Key of a (team, distinct_id): unambiguous, since a team id holds no colon. */
export function groupKeyOf(teamId: number, distinctId: string): string {
  return `${teamId}:${distinctId}`;
}

/** The events of one batch by (team, distinct_id): groups in order of first appearance, events in the order given. */
export function groupEvents(events: readonly PendingEvent[]): EventGroup[] {
  const groups = new Map<string, EventGroup>();
  for (const event of events) {
    const { teamId } = event;
    const { distinctId } = event.envelope;
    const key = groupKeyOf(teamId, distinctId);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { teamId, distinctId, events: [event] });
    else group.events.push(event);
  }
  return [...groups.values()];
}
