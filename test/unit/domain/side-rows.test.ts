import { describe, expect, it } from 'vitest';
import { personId, teamId } from '../../../src/domain/ids.ts';
import type { Person } from '../../../src/domain/person.ts';
import { deletedPersonRow, personRow } from '../../../src/domain/side-rows.ts';
import { jsonbText } from '../../../src/postgres/json.ts';

const PERSON: Person = {
  rowId: '1',
  id: personId('01900000-0000-7000-8000-0000000000aa'),
  teamId: teamId(2),
  createdAtMs: 1_000,
  properties: {},
  isIdentified: true,
  version: 3,
};

describe('rows of a person (4.2)', () => {
  it('P-36, Z-1, sharp edge 35: the row shows the properties as PostgreSQL stores them', () => {
    const properties = { nul: 'a\0b', half: '\ud83d', spelledOut: '\\u0000', plain: 'é 😀 "' };
    expect(personRow({ ...PERSON, properties })).toMatchObject({ properties: jsonbText(properties) });
    expect(jsonbText(properties)).not.toBe(JSON.stringify(properties));
  });

  it('4.2, sharp edge 15: one that was merged away is the same row, deleted, 100 versions later', () => {
    const row = personRow(PERSON);
    expect(deletedPersonRow(PERSON)).toEqual({ ...row, isDeleted: true, version: 103 });
  });
});
