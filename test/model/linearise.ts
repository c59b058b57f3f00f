/**
 * Finds the order in which events took effect, from nothing but what the database was after each commit, and holds it to the oracle:
 *
 *     commit 0 ──▶ commit 1 ──▶ commit 2 ──▶ …        each is explained by events that the oracle turns into exactly this change
 *          └ events that change nothing take effect in between, where the oracle shows them what their row shows
 *
 * An explanation of one person's change is one run of consecutive events per distinct_id, of one or more distinct_ids, one run after
 * the other. A run begins where the last one of its distinct_id ended (or later, if all in between change nothing somewhere in
 * between). Only where a process died, an answer was lost or a partition moved may it begin earlier: a replay.
 */
import { canonical } from './canonical.ts';
import { apply, otherOf, uuidOf, type Person, type Sent, type Shown, type World } from './oracle.ts';
import { createPast } from './past.ts';
import type { Commit, State, StoredPerson } from './recording.ts';
import { counterOf } from './workload.ts';

/** What an event's row in ClickHouse says. */
export interface VisibleRow {
  readonly personId: string;
  readonly createdAtMs: number;
  /** Canonical. */
  readonly properties: string;
  readonly mode: Shown['mode'];
}
export interface History {
  readonly commits: readonly Commit[];
  /** In offset order, at least per distinct_id. `sentMs` on the clock of the commits. */
  readonly events: readonly { readonly sent: Sent; readonly sentMs: number }[];
  /** By uuid. */
  readonly rows: ReadonlyMap<string, VisibleRow>;
  /** Uuids of events whose merge the team was warned of. */
  readonly warned: ReadonlySet<string>;
  /** Moments after which something may have been done twice; those before a commit by at most `slackMs` count as well. */
  readonly incidentsMs: readonly number[];
  readonly slackMs: number;
  readonly mostViolations: number;
}
export type Finding = 'unexplained' | 'version' | 'lost-effect' | 'row';
export interface Analysis {
  readonly violations: readonly { readonly invariant: Finding; readonly detail: string }[];
  /** What each event's team was told, by uuid, at any of the times that it took effect. */
  readonly warnings: ReadonlyMap<string, readonly NonNullable<Shown['warning']>[]>;
  readonly counts: { applied: number; reads: number; repeats: number; merges: number; rivals: number; extraOverrides: number };
}

interface Entry {
  readonly sent: Sent;
  readonly sentMs: number;
  readonly other: string | undefined;
  /** What its counter is set to. */
  readonly count: number | undefined;
  /** Commit at which it took effect first. */
  tookEffect: number | undefined;
  isShown: boolean;
  /** A merge event that has given one id to the other's person, and whose own update is still to come. */
  isLinked: boolean;
}
interface Queue {
  readonly key: string;
  readonly entries: readonly Entry[];
  /** Entries before it have taken effect, the last of them at commit `since`. */
  next: number;
  since: number;
}
interface Run {
  readonly queue: Queue;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly linkOnly: boolean;
  readonly reads: readonly { readonly entry: Entry; readonly at: number; readonly shown: Shown }[];
}
/** A run as the oracle played it, with what each of its events was shown. */
interface Played extends Run {
  readonly shown: readonly Shown[];
}
interface Explained {
  readonly keys: readonly string[];
  readonly runs: Played[];
}
interface Component {
  readonly rowIds: ReadonlySet<string>;
  readonly keys: readonly string[];
}

/**
 * How much of an explanation is taken on trust. 'nothing': every event takes effect once, and its row shows it there. 'replays': runs
 * may repeat, and an event's row must show it there unless it was shown elsewhere. 'rows': the row of an event that is in doubt may be
 * that of a later replay.
 */
type Trust = 'nothing' | 'replays' | 'rows';
const TRUSTS = ['nothing', 'replays', 'rows'] as const;
/** Events of one distinct_id in one commit, at most. */
const LONGEST_RUN = 16;
/** Runs tried for one person's change, at most. */
const MOST_TRIES = 50_000;

export function linearise(history: History): Analysis {
  const { commits, rows } = history;
  const violations: Analysis['violations'][number][] = [];
  const warnings = new Map<string, NonNullable<Shown['warning']>[]>();
  const counts = { applied: 0, reads: 0, repeats: 0, merges: 0, rivals: 0, extraOverrides: 0 };
  const past = createPast();
  const queues = queuesOf(history);
  /** By commit. */
  const explained = new Map<number, Explained[]>();
  /** Ids that a merge has marked in a commit of its own, that commit, and whether they were noted before it. */
  const markedAhead = new Map<string, { readonly at: number; readonly wasNoted: boolean }>();
  /**
   * Marks made ahead from this commit on are taken for the merge's own; earlier ones, of a merge that failed or died, count as a use
   * without a person.
   */
  let honouredFrom = 0;
  const world: World = {
    ...past.world,
    personless: {
      get: (key) => (isOwnMark(key) ? undefined : past.world.personless.get(key)),
      set: (key, isMerged) => past.world.personless.set(key, isMerged),
    },
  };

  for (let at = 1; at < commits.length && violations.length < history.mostViolations; at++) explainCommit(at);
  if (violations.length < history.mostViolations) readTheRest();
  return { violations, warnings, counts };

  function isOwnMark(key: string): boolean {
    const mark = markedAhead.get(key);
    return mark !== undefined && !mark.wasNoted && mark.at >= honouredFrom;
  }

  function report(invariant: Finding, detail: string): void {
    if (violations.length < history.mostViolations) violations.push({ invariant, detail });
  }

  // ── one commit ───────────────────────────────────────────────────────────────────────────────────────────────────

  function explainCommit(at: number): void {
    const commit = commits[at] as Commit;
    const { state: before } = commits[at - 1] as Commit;
    const { state: after, by } = commit;
    for (const component of componentsOf(before, after)) {
      if (by === 'rival') {
        counts.rivals++;
        adopt(component, after);
        continue;
      }
      let runs = explain(component, at, before, after);
      while (runs === undefined && component.keys.some((key) => hide(queues.get(key), at - 1)))
        runs = explain(component, at, before, after);
      if (runs !== undefined) keep(runs, at, component, before, after);
      else {
        report('unexplained', `commit ${at} at ${Math.round(commit.atMs)}: ${describe(component, before, after)}; ${nextOf(component)}`);
        adopt(component, after);
      }
    }
    for (const [key, isMerged] of after.personless) {
      const known = past.world.personless.get(key);
      if (known === isMerged) continue;
      if (isMerged) markedAhead.set(key, { at, wasNoted: known !== undefined });
      past.world.personless.set(key, isMerged);
    }
    for (const key of after.mappings.keys()) markedAhead.delete(key);
    past.accept(at);
  }

  /** Takes the state as it is: of somebody else, or so that one mistake is reported once. */
  function adopt({ rowIds }: Component, after: State): void {
    for (const rowId of rowIds) {
      const stored = after.persons.get(rowId);
      if (stored === undefined) continue;
      const keys = keysOf(after, rowId);
      const person = personOf(stored, keys);
      for (const key of keys) {
        past.world.owners.set(key, person);
        past.world.versions.set(key, after.mappings.get(key)?.version ?? 0);
      }
    }
  }

  function explain(component: Component, at: number, before: State, after: State): readonly Played[] | undefined {
    const markCommits = new Set(component.keys.flatMap((key) => markedAhead.get(key)?.at ?? []));
    const inDoubt = history.incidentsMs.some((ms) => ms <= (commits[at] as Commit).atMs + history.slackMs);
    for (const trust of inDoubt ? TRUSTS : ([TRUSTS[0]] as const)) {
      for (honouredFrom of [0, ...markCommits, Infinity]) {
        const found = search(component, at, before, after, trust);
        if (found === undefined) continue;
        if (honouredFrom > 0) counts.extraOverrides++;
        honouredFrom = 0;
        return found;
      }
      honouredFrom = 0;
    }
    return undefined;
  }

  /**
   * Fewest runs first, and from the last one backwards: what a run has set and unset must be in the state after it, but for what later
   * runs have laid over it. Only what passes is played.
   */
  function search(component: Component, at: number, before: State, after: State, trust: Trust): readonly Played[] | undefined {
    const involved = component.keys.flatMap((key) => queues.get(key) ?? []);
    const isBirth = [...component.rowIds].some((rowId) => !before.persons.has(rowId));
    const options = involved.flatMap((queue) => {
      const counters = [counterIn(before, queue.key), counterIn(after, queue.key)] as const;
      const isMoved = counters[0] !== counters[1];
      return candidates(queue, at, counters, trust).map((run) => ({ run, isMoved, leaves: isBirth ? NOTHING : leftBy(run) }));
    });
    const movedCount = new Set(options.filter(({ isMoved }) => isMoved).map(({ run }) => run.queue)).size;
    const backwards: (typeof options)[number][] = [];
    let tries = 0;

    const visit = (depth: number): readonly Played[] | undefined => {
      if (depth === 0) return playAll(component, after, backwards.map(({ run }) => run).reverse(), trust);
      const missing = movedCount - backwards.filter(({ isMoved }) => isMoved).length;
      for (const option of options) {
        if (++tries > MOST_TRIES) return undefined;
        if (missing >= depth && !option.isMoved) continue;
        if (backwards.some(({ run }) => run.queue === option.run.queue) || !isLeft(option, after)) continue;
        backwards.push(option);
        const found = visit(depth - 1);
        backwards.pop();
        if (found !== undefined) return found;
      }
      return undefined;
    };
    const isLeft = ({ run, leaves }: (typeof options)[number], state: State): boolean => {
      const stored = state.persons.get(state.mappings.get(run.queue.key)?.rowId ?? '');
      for (const [name, value] of leaves) {
        if (name.endsWith('?') || backwards.some((later) => later.leaves.has(name) || later.leaves.has(`${name}?`))) continue;
        if (stored === undefined || textOfValue(parsed(stored)[name]) !== value) return false;
      }
      return true;
    };
    for (let depth = Math.max(1, movedCount); depth <= Math.min(8, involved.length); depth++) {
      const found = visit(depth);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Undefined, and all is as before, when they do not end in the state after. */
  function playAll(component: Component, after: State, runs: readonly Run[], trust: Trust): readonly Played[] | undefined {
    const mark = past.mark();
    const played: Played[] = [];
    for (const run of runs) {
      const shown = play(run, trust);
      if (shown === undefined) break;
      played.push({ ...run, shown });
    }
    if (played.length === runs.length && isReached(component, after)) return played;
    past.rollback(mark);
    return undefined;
  }

  /** Runs that may be next for a distinct_id, the likeliest first. */
  function candidates(queue: Queue, at: number, [counter, wanted]: readonly [number, number], trust: Trust): Run[] {
    const found: Run[] = [];
    const { entries, next } = queue;
    const add = (from: number, reads: Run['reads']): void => {
      const first = entries[from];
      if (first !== undefined && first.sentMs > (commits[at] as Commit).atMs) return;
      if (first?.other !== undefined) {
        if ((first.count ?? counter) === wanted) found.push({ queue, from, to: from + 1, linkOnly: false, reads });
        if (counter === wanted) found.push({ queue, from, to: from + 1, linkOnly: true, reads });
        return;
      }
      let reached = counter;
      for (let to = from; to < Math.min(entries.length, from + LONGEST_RUN); to++) {
        const entry = entries[to] as Entry;
        if (entry.other !== undefined || entry.sentMs > (commits[at] as Commit).atMs) return;
        reached = entry.count ?? reached;
        if (reached === wanted) found.push({ queue, from, to: to + 1, linkOnly: false, reads });
      }
    };
    const reads: Run['reads'][number][] = [];
    let since = queue.since;
    for (let from = next; from < entries.length; from++) {
      add(from, [...reads]);
      const read = readOf(entries[from] as Entry, since, at - 1, trust !== 'rows');
      if (read === undefined) break;
      reads.push(read);
      since = read.at;
    }
    if (trust !== 'nothing')
      for (let from = next - 1; from >= Math.max(0, next - LONGEST_RUN); from--) if (mayRepeat(entries[from], at)) add(from, []);
    return found;
  }

  /** Where, since then, the event would have changed nothing and its row is what it was shown. Not before it was sent. */
  function readOf(entry: Entry, since: number, until: number, isStrict: boolean): Run['reads'][number] | undefined {
    const { team, distinctId } = entry.sent;
    const keys = [`${team}:${distinctId}`, ...(entry.other === undefined ? [] : [`${team}:${entry.other}`])];
    const places = [since, ...past.changesOf(keys, since, until)];
    for (const [index, at] of places.entries()) {
      const endMs = commits[places[index + 1] ?? until + 1]?.atMs ?? Infinity;
      if (endMs < entry.sentMs) continue;
      const view = past.view(at);
      // Its update may have found nothing to do on the person as it was loaded, a moment before the other id was added to it.
      const joined = entry.isLinked ? (view.owners.get(keys[0] ?? '') ?? view.owners.get(keys[1] ?? '')) : undefined;
      if (joined !== undefined) for (const key of keys) view.owners.set(key, joined);
      const was = view.owners.get(keys[0] ?? '');
      const shown = apply(view, entry.sent);
      if (
        (!shown.changed || isUnchanged(was, view.owners.get(keys[0] ?? ''))) &&
        (!isStrict || (isAsShown(entry, shown) && isAsWarned(entry, shown)))
      )
        return { entry, at, shown };
    }
    return undefined;
  }

  /**
   * An event may have taken effect in a commit that does not show it: another distinct_id's run in the same commit has laid its own
   * values over it. Finds such a commit for the next event that nothing else explains.
   */
  function hide(queue: Queue | undefined, until: number): boolean {
    if (queue === undefined) return false;
    const reads: Run['reads'][number][] = [];
    let { next: index, since } = queue;
    for (; index < queue.entries.length; index++) {
      const read = readOf(queue.entries[index] as Entry, since, until, true);
      if (read === undefined) break;
      reads.push(read);
      since = read.at;
    }
    const entry = queue.entries[index];
    if (entry === undefined) return false;
    for (const at of past.changesOf([queue.key], since - 1, until)) {
      const found = explained.get(at)?.find(({ keys }) => keys.includes(queue.key));
      if (found === undefined || (commits[at] as Commit).atMs < entry.sentMs) continue;
      for (let place = found.runs.findLastIndex((run) => run.queue === queue) + 1; place < found.runs.length; place++) {
        const shown = playHidden(entry, at, found, place);
        if (shown === undefined) continue;
        for (const read of reads) note(read.entry, read.shown, read.at);
        note(entry, shown, at);
        counts.reads += reads.length;
        counts.applied++;
        found.runs.splice(place, 0, { queue, from: index, to: index + 1, linkOnly: false, reads: [], shown: [shown] });
        queue.next = index + 1;
        queue.since = at;
        return true;
      }
    }
    return false;
  }

  /** What the event was shown before the run at `place`, if its row says so and the commit ends as it did. */
  function playHidden(entry: Entry, at: number, { keys, runs }: Explained, place: number): Shown | undefined {
    const world = past.view(at - 1);
    let hidden: Shown | undefined;
    runs.forEach(({ queue, from, to, linkOnly }, index) => {
      if (index === place) hidden = apply(world, entry.sent);
      for (const { sent } of queue.entries.slice(from, to)) apply(world, sent, linkOnly);
    });
    const end = past.view(at).owners;
    const isTheSame = keys.every((key) => isUnchanged(world.owners.get(key), end.get(key)));
    return isTheSame && hidden !== undefined && isAsShown(entry, hidden) ? hidden : undefined;
  }

  function mayRepeat(entry: Entry | undefined, at: number): boolean {
    const firstMs = commits[entry?.tookEffect ?? at]?.atMs ?? 0;
    const nowMs = commits[at]?.atMs ?? 0;
    return history.incidentsMs.some((ms) => ms >= firstMs - history.slackMs && ms <= nowMs + history.slackMs);
  }

  /** Undefined: it cannot have been so, or it would have changed nothing. */
  function play({ queue, from, to, linkOnly }: Run, trust: Trust): readonly Shown[] | undefined {
    let changed = false;
    const all: Shown[] = [];
    for (let index = from; index < to; index++) {
      const entry = queue.entries[index] as Entry;
      const shown = apply(world, entry.sent, linkOnly);
      changed ||= shown.changed;
      const isToMatch = trust === 'nothing' || (trust === 'replays' && !entry.isShown);
      if (isToMatch && !linkOnly && !(isAsShown(entry, shown) && isAsWarned(entry, shown))) return undefined;
      all.push(shown);
    }
    return changed ? all : undefined;
  }

  function isAsWarned({ sent }: Entry, { warning }: Shown): boolean {
    return history.warned.has(sent.uuid) === (warning !== undefined);
  }

  function isAsShown({ sent }: Entry, shown: Shown): boolean {
    const row = rows.get(sent.uuid);
    if (row === undefined) return false;
    const { personId, createdAtMs, mode, properties } = row;
    if (personId !== shown.personId || mode !== shown.mode || createdAtMs !== Math.floor(shown.createdAtMs / 1000) * 1000) return false;
    return properties === textOf(shown.properties);
  }

  function isReached({ keys }: Component, after: State): boolean {
    for (const key of keys) {
      const mapping = after.mappings.get(key);
      const person = past.world.owners.get(key);
      if (mapping === undefined && person === undefined) continue;
      if (mapping === undefined || person === undefined) return false;
      if (past.world.versions.get(key) !== mapping.version) return false;
      const stored = after.persons.get(mapping.rowId);
      if (stored === undefined || !isSame(person, stored) || person.keys.toSorted().join() !== keysOf(after, mapping.rowId).join())
        return false;
    }
    return true;
  }

  function keep(runs: readonly Played[], at: number, component: Component, before: State, after: State): void {
    for (const { queue, from, to, linkOnly, reads, shown } of runs) {
      for (const read of reads) note(read.entry, read.shown, read.at);
      counts.reads += reads.length;
      counts.merges += Number(linkOnly || queue.entries[from]?.other !== undefined);
      const first = queue.entries[from];
      if (linkOnly && first !== undefined) first.isLinked = true;
      if (linkOnly) continue;
      shown.forEach((one, index) => note(queue.entries[from + index] as Entry, one, at));
      counts.applied += to - from;
      if (from < queue.next) counts.repeats++;
      queue.since = at;
      queue.next = Math.max(queue.next, to);
    }
    explained.set(at, [...(explained.get(at) ?? []), { keys: component.keys, runs: [...runs] }]);
    checkVersions(component, before, after, at);
  }

  function note(entry: Entry, shown: Shown, at: number): void {
    entry.tookEffect ??= at;
    entry.isShown ||= isAsShown(entry, shown);
    if (shown.warning === undefined) return;
    const told = warnings.get(entry.sent.uuid);
    if (told === undefined) warnings.set(entry.sent.uuid, [shown.warning]);
    else told.push(shown.warning);
  }

  /** P-20, P-36, M-3: a new person has version 0, a changed one the next, a survivor the next after both. */
  function checkVersions({ rowIds, keys }: Component, before: State, after: State, at: number): void {
    for (const rowId of rowIds) {
      const now = after.persons.get(rowId);
      if (now === undefined) continue;
      const was = before.persons.get(rowId);
      const gone = new Set(
        keys.flatMap((key) => (after.mappings.get(key)?.rowId === rowId ? (before.mappings.get(key)?.rowId ?? []) : [])),
      );
      gone.delete(rowId);
      const versions = [rowId, ...gone].flatMap((one) => before.persons.get(one)?.version ?? []);
      const isWritten =
        was === undefined || gone.size > 0 || JSON.stringify({ ...was, version: 0 }) !== JSON.stringify({ ...now, version: 0 });
      // A value that is an object differs from itself (P-31): then the version alone may have moved.
      const expected = was === undefined ? 0 : isWritten || now.version !== was.version ? Math.max(...versions) + 1 : was.version;
      if (now.version !== expected) report('version', `commit ${at}: ${now.uuid} has version ${now.version} instead of ${expected}`);
    }
  }

  /** The events that could have been it. */
  function nextOf({ keys }: Component): string {
    const next = keys.flatMap((key) => queues.get(key)?.entries.slice(queues.get(key)?.next).slice(0, 3) ?? []);
    return `next are ${next.map((entry) => `${nameOf(entry)} whose row says ${JSON.stringify(rows.get(entry.sent.uuid))}`).join('; ')}`;
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  function readTheRest(): void {
    const last = commits.length - 1;
    const inDoubt = history.incidentsMs.length > 0;
    for (const queue of queues.values()) {
      for (; queue.next < queue.entries.length; queue.next++) {
        const entry = queue.entries[queue.next] as Entry;
        const read = readOf(entry, queue.since, last, true) ?? (inDoubt ? readOf(entry, queue.since, last, false) : undefined);
        if (read === undefined && hide(queue, last)) {
          queue.next--;
          continue;
        }
        if (read === undefined) {
          const isReadable = readOf(entry, queue.since, last, false) !== undefined;
          report(
            isReadable ? 'row' : 'lost-effect',
            `${nameOf(entry)}: ${isReadable ? tell(entry, queue.since) : 'it would have changed its person, and nothing did'}`,
          );
          break;
        }
        note(entry, read.shown, read.at);
        counts.reads++;
        queue.since = read.at;
      }
      for (const entry of queue.entries) {
        if (entry.isShown || entry.tookEffect === undefined) continue;
        if (!inDoubt || !isPlausible(entry)) report('row', `${nameOf(entry)}: ${tell(entry, entry.tookEffect)}`);
      }
    }
    for (const [key, person] of past.owners()) {
      const { state } = commits[last] as Commit;
      const stored = state.persons.get(state.mappings.get(key)?.rowId ?? '');
      if (stored === undefined || !isSame(person, stored))
        report('unexplained', `${key} ends in ${JSON.stringify(stored)} instead of ${JSON.stringify(person)}`);
    }
  }

  /**
   * All that can be said of the row of an event that may have been replayed: it names a person that the id has belonged to, and shows the
   * event's own `$set`, and its distinct_id's count as this event left it, not as a later one did.
   */
  function isPlausible({ sent, count }: Entry): boolean {
    const row = rows.get(sent.uuid);
    if (row === undefined) return false;
    const key = `${sent.team}:${sent.distinctId}`;
    const belongedTo = past.changesOf([key], -1, commits.length).some((at) => past.view(at).owners.get(key)?.uuid === row.personId);
    if (!belongedTo && (row.mode !== 'propertyless' || row.personId !== uuidOf(sent.team, sent.distinctId))) return false;
    const properties = JSON.parse(row.properties) as Record<string, unknown>;
    if (sent.properties['$process_person_profile'] === false) return row.mode !== 'full' && row.properties === '{}';
    const set = sent.event === '$groupidentify' ? {} : (sent.properties['$set'] as Record<string, unknown> | undefined);
    const showsSet = Object.entries(set ?? {}).every(([name, value]) => canonical(properties[name]) === canonical(value));
    return row.mode === 'full' && showsSet && (count === undefined || properties[counterOf(sent.distinctId)] === count);
  }

  function tell(entry: Entry, at: number): string {
    const row = rows.get(entry.sent.uuid);
    const shown = apply(past.view(at), entry.sent);
    return `its row says ${JSON.stringify(row)}, at commit ${at} it would say ${canonical(shown)}`;
  }
}

const nameOf = ({ sent }: Entry): string =>
  `${sent.event} ${sent.uuid.slice(-4)} of ${sent.team}:${sent.distinctId} ${JSON.stringify(sent.properties)}`;

function queuesOf({ events }: History): Map<string, Queue> {
  const queues = new Map<string, Queue & { entries: Entry[] }>();
  for (const { sent, sentMs } of events) {
    const key = `${sent.team}:${sent.distinctId}`;
    let queue = queues.get(key);
    if (queue === undefined) queues.set(key, (queue = { key, entries: [], next: 0, since: 0 }));
    const isFull = sent.properties['$process_person_profile'] !== false;
    const set = isFull ? sent.properties['$set'] : undefined;
    const count = (set as Record<string, number> | undefined)?.[counterOf(sent.distinctId)];
    queue.entries.push({
      sent,
      sentMs,
      other: isFull ? otherOf(sent) : undefined,
      count,
      tookEffect: undefined,
      isShown: false,
      isLinked: false,
    });
  }
  return queues;
}

/** Persons that changed, together with those that they gave ids to or got ids from. */
function componentsOf(before: State, after: State): Component[] {
  const groups: Set<string>[] = [];
  const unite = (...rowIds: string[]): void => {
    const hit = groups.filter((group) => rowIds.some((rowId) => group.has(rowId)));
    const all = new Set([...rowIds, ...hit.flatMap((group) => [...group])]);
    for (const group of hit) groups.splice(groups.indexOf(group), 1);
    groups.push(all);
  };
  for (const rowId of new Set([...before.persons.keys(), ...after.persons.keys()])) {
    if (before.persons.get(rowId) !== after.persons.get(rowId)) unite(rowId);
  }
  for (const [key, { rowId }] of after.mappings) {
    const was = before.mappings.get(key);
    if (was === undefined) unite(rowId);
    else if (was !== after.mappings.get(key)) unite(rowId, was.rowId);
  }
  return groups.map((rowIds) => {
    const keys = [...before.mappings, ...after.mappings].filter(([, { rowId }]) => rowIds.has(rowId)).map(([key]) => key);
    return { rowIds, keys: [...new Set(keys)] };
  });
}

const NOTHING: ReadonlyMap<string, string> = new Map();
const textOfValue = (value: unknown): string => (value === undefined ? '' : canonical(value));

/**
 * Values, as text, that a run leaves whatever it finds; '' for none. What volatile keys and `$set_once` leave depends on what they find:
 * those stand there with a question mark.
 */
function leftBy({ queue, from, to, linkOnly }: Run): ReadonlyMap<string, string> {
  const left = new Map<string, string>();
  const depends = (name: string): void => {
    left.delete(name);
    left.set(`${name}?`, '');
  };
  for (const { sent } of linkOnly ? [] : queue.entries.slice(from, to)) {
    if (sent.properties['$process_person_profile'] === false || ['$exception', '$groupidentify'].includes(sent.event)) continue;
    const { $set = {}, $set_once = {}, $unset = [] } = sent.properties as Record<string, Record<string, unknown> | undefined>;
    for (const name of Object.keys(sent.properties)) {
      depends(name);
      depends(`$initial_${name.replace('$', '')}`);
    }
    for (const name of Object.keys($set_once)) depends(name);
    for (const [name, value] of Object.entries($set)) {
      if (name.startsWith('$')) depends(name);
      else left.set(name, textOfValue(value));
    }
    for (const name of Array.isArray($unset) ? ($unset as string[]) : Object.keys($unset)) left.set(name, '');
  }
  return left;
}

const keysByState = new WeakMap<State, Map<string, string[]>>();
function keysOf(state: State, rowId: string): readonly string[] {
  let known = keysByState.get(state);
  if (known === undefined) {
    known = new Map();
    for (const [key, mapping] of state.mappings) {
      const keys = known.get(mapping.rowId);
      if (keys === undefined) known.set(mapping.rowId, [key]);
      else keys.push(key);
    }
    for (const keys of known.values()) keys.sort();
    keysByState.set(state, known);
  }
  return known.get(rowId) ?? [];
}

function counterIn(state: State, key: string): number {
  const stored = state.persons.get(state.mappings.get(key)?.rowId ?? '');
  if (stored === undefined) return 0;
  const value = parsed(stored)[counterOf(key.slice(key.indexOf(':') + 1))];
  return typeof value === 'number' ? value : 0;
}

const parsedTexts = new WeakMap<StoredPerson, Record<string, unknown>>();
function parsed(stored: StoredPerson): Record<string, unknown> {
  let known = parsedTexts.get(stored);
  if (known === undefined) parsedTexts.set(stored, (known = JSON.parse(stored.properties) as Record<string, unknown>));
  return known;
}

const texts = new WeakMap<object, string>();
function textOf(properties: object): string {
  let known = texts.get(properties);
  if (known === undefined) texts.set(properties, (known = canonical(properties)));
  return known;
}

function isSame(person: Person, stored: StoredPerson): boolean {
  return (
    person.uuid === stored.uuid &&
    person.createdAtMs === stored.createdAtMs &&
    person.isIdentified === stored.isIdentified &&
    textOf(person.properties) === stored.properties &&
    person.cohorts.toSorted((a, b) => a - b).join() === stored.cohorts.join() &&
    textOf(person.flags) === stored.flags
  );
}

/** An event may write what is there already: a value that is an object, or one that it unsets again. */
function isUnchanged(was: Person | undefined, now: Person | undefined): boolean {
  return (
    was !== undefined &&
    now !== undefined &&
    was.keys.length === now.keys.length &&
    was.isIdentified === now.isIdentified &&
    textOf(was.properties) === textOf(now.properties)
  );
}

function personOf(stored: StoredPerson, keys: readonly string[]): Person {
  const { team, uuid, createdAtMs, isIdentified, cohorts } = stored;
  return {
    team,
    keys,
    uuid,
    createdAtMs,
    isIdentified,
    cohorts,
    properties: parsed(stored),
    flags: JSON.parse(stored.flags) as Record<string, string>,
  };
}

/** What changed, key by key. */
function describe({ rowIds }: Component, before: State, after: State): string {
  return [...rowIds]
    .map((rowId) => {
      const [was, now] = [flat(before, rowId), flat(after, rowId)];
      const names = [...new Set([...Object.keys(was), ...Object.keys(now)])].filter((name) => was[name] !== now[name]);
      return `${rowId} (${keysOf(after, rowId).join()}): ${names.map((name) => `${name} ${was[name]} -> ${now[name]}`).join(', ')}`;
    })
    .join(' and ');
}

function flat(state: State, rowId: string): Record<string, string> {
  const stored = state.persons.get(rowId);
  if (stored === undefined) return {};
  const { properties: _text, ...fields } = stored;
  const keys = keysOf(state, rowId).map((key) => `${key}@${state.mappings.get(key)?.version}`);
  return Object.fromEntries(Object.entries({ ...fields, keys, ...parsed(stored) }).map(([name, value]) => [name, JSON.stringify(value)]));
}
