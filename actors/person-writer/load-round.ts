/**
 * One round of the load lane: the persons that distinct_id actors ask for, in one statement; ids without one are noted as used
 * personless; then the indexes of group types.
 */
import type { TeamId } from '../../src/domain/ids.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { GroupStore, PersonStore } from '../../src/postgres/port.ts';
import { sleep, untilAvailable, type Patience } from '../../src/runtime/patience.ts';
import type { PersonWriterMessage } from './messages.ts';

type LoadRequest = Extract<PersonWriterMessage, { readonly type: 'load' }>;
type GroupTypesRequest = Extract<PersonWriterMessage, { readonly type: 'group-types' }>;

export interface LoadDeps {
  readonly persons: PersonStore;
  readonly groups: GroupStore;
  readonly patience: Patience;
  /** Distinct ids known to be noted, over all rounds; this one adds to it. */
  readonly personless: Set<string>;
  readonly options: { readonly personlessCacheCount: number };
}

/** Runs until every request has its answer. @throws PostgresError 'misconfigured', or 'unavailable' when given up. */
export async function runLoadRound(deps: LoadDeps, loads: readonly LoadRequest[], groupTypes: readonly GroupTypesRequest[]): Promise<void> {
  await load(deps, loads);
  await resolveGroupTypes(deps, groupTypes);
}

async function load(deps: LoadDeps, loads: readonly LoadRequest[]): Promise<void> {
  if (loads.length === 0) return;
  const { patience } = deps;
  const startedMs = patience.clock.monotonic();
  const keys = loads.flatMap((one) => one.distinctIds.map((distinctId) => ({ teamId: one.teamId, distinctId })));
  const found = [...(await untilAvailable(patience, () => deps.persons.load(keys)))];
  const unnoted: number[] = [];
  let at = 0;
  for (const one of loads) {
    for (const distinctId of one.distinctIds) {
      if (one.markPersonless && found[at] === undefined && !deps.personless.has(`${one.teamId}:${distinctId}`)) unnoted.push(at);
      at++;
    }
  }
  await notePersonless(deps, keys, unnoted, found);
  stateFact('person-loaded', { keys: keys.length, durationMs: patience.clock.monotonic() - startedMs });
  at = 0;
  for (const one of loads) {
    const answer = found.slice(at, (at += one.distinctIds.length));
    one.replyTo.tell({ type: 'persons-loaded', ticket: one.ticket, found: answer });
  }
}

/** Rule Q-1: an id that was merged in the meantime has a person after all. */
async function notePersonless(
  deps: LoadDeps,
  keys: readonly { readonly teamId: TeamId; readonly distinctId: string }[],
  unnoted: readonly number[],
  found: Awaited<ReturnType<PersonStore['load']>>[number][],
): Promise<void> {
  if (unnoted.length === 0) return;
  const { patience } = deps;
  const noting = unnoted.flatMap((at) => keys[at] ?? []);
  const notes = await untilAvailable(patience, () => deps.persons.markPersonless(noting));
  const merged: number[] = [];
  unnoted.forEach((at, index) => {
    const key = keys[at];
    if (key === undefined) return;
    if (notes[index]?.isMerged === true) merged.push(at);
    else remember(deps, `${key.teamId}:${key.distinctId}`);
  });
  // A merge that has marked the id and not yet made its person is a moment away from it; had we gone on without, nothing would
  // lead this event's row to that person. One whose process died there is done again, and then makes an override (M-2).
  let open = merged;
  for (let waitMs = MERGING_WAIT_MS.first; open.length > 0; waitMs *= 2) {
    const asked = open;
    const again = await untilAvailable(patience, () => deps.persons.load(asked.flatMap((at) => keys[at] ?? [])));
    asked.forEach((at, index) => (found[at] = again[index]));
    open = asked.filter((at) => found[at] === undefined);
    if (waitMs > MERGING_WAIT_MS.max || patience.givenUp()) break;
    if (open.length > 0) await sleep(patience.clock, waitMs);
  }
  // Waited for once: the next event of this id does not.
  for (const at of open) {
    const key = keys[at];
    if (key !== undefined) remember(deps, `${key.teamId}:${key.distinctId}`);
  }
}

/** The oldest makes room: forgetting costs one more statement. */
function remember({ personless, options }: LoadDeps, key: string): void {
  if (personless.size >= options.personlessCacheCount) {
    const oldest = personless.values().next().value;
    if (oldest !== undefined) personless.delete(oldest);
  }
  personless.add(key);
}

/** Rule G-2 */
async function resolveGroupTypes({ groups, patience }: LoadDeps, requests: readonly GroupTypesRequest[]): Promise<void> {
  for (const request of requests) {
    const indexes = new Map<string, number | undefined>();
    for (const type of request.groupTypes) {
      indexes.set(type, await untilAvailable(patience, () => groups.groupTypeIndex(request.teamId, type)));
    }
    request.replyTo.tell({ type: 'group-types-resolved', ticket: request.ticket, indexes });
  }
}

/** Waits for a merge in the middle: 20 ms, doubled up to the last, 1.3 s in all. */
const MERGING_WAIT_MS = { first: 20, max: 640 } as const;
