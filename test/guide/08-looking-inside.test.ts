/**
 * 8. Looking inside
 *
 * The inspector reads actors from outside, without sending them anything: one that hangs can still be seen, and looking changes nothing.
 * It shows counts and types, never what a message carried. Messages that reached no actor are dead letters: counted, and shown by type.
 */
import { expect, test } from 'vitest';
import { gate, pass, settle, specOf } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

test('an actor that hangs shows what it is at, for how long, and what waits behind it', async () => {
  const { system, clock } = open();
  const answer = gate<{ readonly rowCount: number }>();
  const ref = system.spawn<{ readonly rowCount: number }, { readonly type: 'row' | 'flush' }>(
    specOf({
      kind: 'writer',
      start: () => ({ rowCount: 0 }),
      receive: (state, message) => (message.type === 'flush' ? answer.promise : { rowCount: state.rowCount + 1 }),
      inspect: (state) => ({ rowCount: state.rowCount }),
    }),
    'clickhouse-writer',
    system.parent('writers'),
  );
  for (const type of ['row', 'flush', 'row', 'row'] as const) ref.tell({ type });
  await settle(system);
  await pass(system, clock, 30_000);
  expect(system.inspect.slowest(1)).toMatchObject([
    {
      path: '/writers/clickhouse-writer',
      status: 'active',
      currentMessageType: 'flush',
      currentForMs: 30_000,
      mailboxDepth: 2,
      details: { rowCount: 1 },
    },
  ]);
  answer.open({ rowCount: 0 });
  await settle(system);
  expect(system.inspect.one('/writers/clickhouse-writer')).toMatchObject({ mailboxDepth: 0, currentMessageType: undefined });
});

test('what reaches no actor is counted, and shown without its content', async () => {
  const { system } = open();
  const ref = system.spawn<null, { readonly type: 'event'; readonly email: string }>(
    specOf({
      kind: 'parser',
      start: () => null,
      receive: () => {
        throw new Error('cannot parse');
      },
      supervision: { directive: 'resume' },
    }),
    'parser',
  );
  ref.tell({ type: 'event', email: 'ann@example.com' });
  await settle(system);
  expect(system.deadLetters.counts()).toMatchObject({ failed: 1, stopped: 0 });
  expect(system.deadLetters.recent()).toMatchObject([{ messageType: 'event', path: '/parser', reason: 'failed' }]);
  expect(JSON.stringify(system.deadLetters.recent())).not.toContain('ann');
});
