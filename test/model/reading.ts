/** Holds what the oracle shows an event against what its row in ClickHouse says of it. */
import { canonical } from './canonical.ts';
import type { Entry, History, Run } from './history.ts';
import { apply, uuidOf, type Shown } from './oracle.ts';
import type { Past } from './past.ts';
import { isUnchanged, textOf } from './stored-state.ts';
import { counterOf } from './workload.ts';

export interface Reading {
  /** The event's row says this. */
  isAsShown(entry: Entry, shown: Shown): boolean;
  /** Its team was warned if, and only if, it is to be. */
  isAsWarned(entry: Entry, shown: Shown): boolean;
  /** Where, between two commits, the event would have changed nothing and its row is what it was shown. Not before it was sent. */
  readOf(entry: Entry, since: number, until: number, isStrict: boolean): Run['reads'][number] | undefined;
  isPlausible(entry: Entry): boolean;
  /** For a finding: what the row says, and what it would say at a commit. */
  tell(entry: Entry, at: number): string;
}

export function createReading({ commits, rows, warned }: History, past: Past): Reading {
  return { isAsShown, isAsWarned, readOf, isPlausible, tell };

  function isAsShown({ sent }: Entry, shown: Shown): boolean {
    const row = rows.get(sent.uuid);
    if (row === undefined) return false;
    const { personId, createdAtMs, mode, properties } = row;
    if (personId !== shown.personId || mode !== shown.mode || createdAtMs !== Math.floor(shown.createdAtMs / 1000) * 1000) return false;
    return properties === textOf(shown.properties);
  }

  function isAsWarned({ sent }: Entry, { warning }: Shown): boolean {
    return warned.has(sent.uuid) === (warning !== undefined);
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
