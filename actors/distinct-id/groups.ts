/** Group types and group keys of an event (rules G-2 and G-3), not the groups of events that this actor works on. */
import { groupIdentifyOf, groupTypesOf, namesGroups } from '../../src/domain/groups.ts';
import { ask, enter, type Ctx, type Shared } from './asking.ts';
import { guard, warn } from './ends.ts';
import type { Item, Work } from './state.ts';

/** Rule G-2: one question for all group types that the events name. True: wait. */
export function askGroupTypes(shared: Shared, work: Work, ctx: Ctx): boolean {
  let types: Set<string> | undefined;
  for (const item of work.items) {
    if (item.ended || item.mode === 'personless' || !namesGroups(item.event)) continue;
    const all = (types ??= new Set());
    guard(shared, item.pending, 'group-types', () => groupTypesOf(item.event).forEach((type) => all.add(type)), item);
  }
  if (types === undefined || types.size === 0) return false;
  const groupTypes = [...types];
  ask(shared, work, undefined, (ticket) => ({
    type: 'group-types',
    ticket,
    teamId: work.message.team.id,
    groupTypes,
    replyTo: ctx.self,
  }));
  return true;
}

/** Rule G-3. True: wait for it. */
export function upsertGroup(shared: Shared, work: Work, item: Item, ctx: Ctx): boolean {
  if (item.ended || item.event.event !== '$groupidentify' || work.groupTypes === undefined) return false;
  const group = groupIdentifyOf(item.event);
  if (group?.type === 'refused') warn(shared, work, group.warning, ctx);
  if (group?.type !== 'upsert') return false;
  const groupTypeIndex = work.groupTypes.get(group.groupType);
  if (groupTypeIndex === undefined) return false; // G-2: a sixth type is ignored
  enter(work, 'upserting', ctx);
  ask(shared, work, item, (ticket) => ({
    type: 'upsert-group',
    ticket,
    teamId: work.message.team.id,
    groupTypeIndex,
    groupKey: group.groupKey,
    set: group.set,
    createdAtMs: item.timestampMs,
    maybeReplayed: item.pending.maybeReplayed,
    settlement: item.pending.settlement,
    replyTo: ctx.self,
  }));
  return true;
}
