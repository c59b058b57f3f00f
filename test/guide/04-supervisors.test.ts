/**
 * 4. Supervisors
 *
 * Some crashes are no business of the actor alone: who comes after it may hold on to what is gone. The order of a supervisor's children
 * says who needs whom. With rest-for-one, when a child gives up, those after it stop (last first), and all of them start again in order.
 */
import { expect, test } from 'vitest';
import { actorChild, createSupervisor } from '../../src/runtime/supervisor.ts';
import type { ActorSystem } from '../../src/runtime/system.ts';
import { pass, settle, specOf } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

const child = (system: ActorSystem, story: string[], name: string) =>
  actorChild<null, 'work' | 'crash'>(
    system,
    () =>
      specOf({
        supervision: { directive: 'escalate' }, // every crash goes to the supervisor
        start: () => (story.push(`${name} starts`), null),
        receive(state, message) {
          if (message === 'crash') throw new Error(`${name} has lost its connection`);
          story.push(`${name} works`);
          return state;
        },
        stopping: () => void story.push(`${name} stops`),
      }),
    name,
    system.parent('writers'),
  );

test('a child takes those after it along, and leaves those before it alone', async () => {
  const { system, clock } = open();
  const story: string[] = [];
  const [deadLetters, buffer, writer] = [
    child(system, story, 'dead-letters'),
    child(system, story, 'buffer'),
    child(system, story, 'writer'),
  ];
  const supervisor = createSupervisor({
    system,
    name: 'writers',
    strategy: 'rest-for-one',
    children: [deadLetters, buffer, writer],
    budget: { count: 3, periodMs: 60_000 },
    backoff: { minMs: 100, maxMs: 1_000, jitterRatio: 0, quietMs: 60_000 },
    stopLimitMs: 1_000,
    onEscalate: () => story.push('the level above decides'),
  });
  await supervisor.start();
  await settle(system);
  story.length = 0;

  buffer.ref.tell('crash');
  await settle(system);
  expect(story).toEqual(['buffer stops', 'writer stops']);
  await pass(system, clock, 100);
  expect(story.slice(2)).toEqual(['buffer starts', 'writer starts']);

  // The child's ref outlives its restarts: it tells whoever holds the name now.
  writer.ref.tell('work');
  await settle(system);
  expect(story.at(-1)).toBe('writer works');

  story.length = 0;
  await supervisor.stop(1_000);
  expect(story).toEqual(['writer stops', 'buffer stops', 'dead-letters stops']);
});
