import type { Component } from './history.ts';
import type { State } from './recording.ts';

/** P-20, P-36, M-3: a new person has version 0, a changed one the next, a survivor the next after both. */
export function wrongVersions({ rowIds, keys }: Component, before: State, after: State): readonly string[] {
  const found: string[] = [];
  for (const rowId of rowIds) {
    const now = after.persons.get(rowId);
    if (now === undefined) continue;
    const was = before.persons.get(rowId);
    const gone = new Set(keys.flatMap((key) => (after.mappings.get(key)?.rowId === rowId ? (before.mappings.get(key)?.rowId ?? []) : [])));
    gone.delete(rowId);
    const versions = [rowId, ...gone].flatMap((one) => before.persons.get(one)?.version ?? []);
    const isWritten =
      was === undefined || gone.size > 0 || JSON.stringify({ ...was, version: 0 }) !== JSON.stringify({ ...now, version: 0 });
    // A value that is an object differs from itself (P-31): then the version alone may have moved.
    const expected = was === undefined ? 0 : isWritten || now.version !== was.version ? Math.max(...versions) + 1 : was.version;
    if (now.version !== expected) found.push(`${now.uuid} has version ${now.version} instead of ${expected}`);
  }
  return found;
}
