import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../../src/domain/event.ts';
import { teamId } from '../../src/domain/ids.ts';
import { jsonbBytes } from '../../src/domain/jsonb-size.ts';
import { foldPerson, newPerson } from '../../src/domain/person-fold.ts';
import { MAX_PERSON_BYTES } from '../../src/domain/person-size.ts';
import { textArray } from '../../src/postgres/arrays.ts';
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { jsonbText } from '../../src/postgres/json.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const sizes: Statement = {
  name: 'test-sizes',
  text: 'SELECT pg_column_size(u.value::jsonb) AS "bytes" FROM unnest($1::text[]) WITH ORDINALITY AS u(value, ord) ORDER BY u.ord',
};
const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));

describe.skipIf(!service.available)('how large PostgreSQL takes a person to be', () => {
  let server: TestPostgres;
  let client: PostgresClient;
  beforeAll(async () => {
    server = await startPostgres('embedded');
    client = server.client();
    await ensureSchema(client, { migrate: false });
  });
  afterAll(() => server.stop());

  const NUMBERS = [0, -0, 1, 9_999, 10_000, 0.1, -1.25, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 1e252, 1e256, 12_345.678_9, 1e15 + 0.5];

  it('Z-3: jsonbBytes says of any JSON object what pg_column_size says of it', async () => {
    const number = fc.oneof(fc.constantFrom(...NUMBERS), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }));
    const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.constantFrom('', '\0', 'a\0b', '\\u0000', '\ud83d', '😀'));
    // As asJsonb stores them, two keys that differ in half a surrogate pair only are one key; the bytes are then those of one.
    const key = fc.string({ unit: 'grapheme', maxLength: 6 });
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom(null, true, false),
        number,
        text,
        fc.array(tie('value'), { maxLength: 5 }),
        fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }),
      ),
    }));
    const objects = fc.sample(fc.dictionary(key, value, { maxKeys: 8, noNullPrototype: true }), { seed: 7, numRuns: 3_000 }) as Json[];
    objects.push({ numbers: NUMBERS }, ...NUMBERS.map((one) => ({ a: 'x', n: one, z: [one, 'x', one] })));
    const rows = await client.run<{ bytes: number }>(sizes, [textArray(objects.map(jsonbText))]);
    objects.forEach((object, index) =>
      expect([JSON.stringify(object), jsonbBytes(object)]).toEqual([JSON.stringify(object), rows[index]?.bytes]),
    );
    expect(rows.length).toBeGreaterThan(3_000);
  });

  it('Z-3: a table that refuses what is larger takes every person that the rules make', async () => {
    await client.script('test-limit', `ALTER TABLE posthog_person ADD CHECK (pg_column_size(properties) <= ${MAX_PERSON_BYTES})`);
    const store = createPersonStore(client);
    const update = (set: Json) => ({ eventName: '$set', set, setOnce: undefined, unset: undefined, isIdentified: false });
    const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
    const birth = { teamId: teamId(1), distinctId: 'd', createdAtMs: 0, eventUuid: 'u', isIdentified: false };
    const { person, limited, ...about } = newPerson({ ...birth, update: update({ too: numbers(60_000), much: numbers(1_000) }) });
    expect([limited, Object.keys(person.properties)]).toEqual(['trimmed', ['much', '$creator_event_uuid']]);
    const [created] = await store.create([{ ...person, ...about, distinctIds: [{ distinctId: 'd', version: 0 }] }]);
    if (created?.type !== 'created') throw new Error('expected a person');

    let current = created.person;
    for (const chunk of Array.from({ length: 80 }, (_, n) => update({ [`p${n}`]: numbers(900) }))) {
      const folded = foldPerson(current, chunk);
      if (folded.limited === 'refused') {
        const [forced] = await Promise.allSettled([
          store.update([{ person: { ...current, properties: { ...current.properties, ...chunk.set } }, version: current.version }]),
        ]);
        expect(forced).toMatchObject({ status: 'rejected', reason: { kind: 'refused' } });
        break;
      }
      const [result] = await store.update([{ person: folded.person, version: current.version }]);
      if (result?.type !== 'updated') throw new Error('expected an update');
      current = { ...folded.person, version: result.version };
    }
    // It came as near to the limit as whole properties can, and not beyond.
    expect(jsonbBytes(current.properties)).toBeGreaterThan(MAX_PERSON_BYTES - 12_000);
  });
});
