import { afterEach } from 'vitest';
import type { ActorSystem } from '../../src/runtime/system.ts';
import { testSystem } from './actors.ts';
import type { ManualClock } from './clock.ts';

/** Makes test systems and shuts them down after each test of the file, failing when one leaves a timer or an actor behind. */
export function systemsOf(): () => { readonly system: ActorSystem; readonly clock: ManualClock } {
  let opened: ActorSystem[] = [];
  afterEach(async () => {
    const closing = opened;
    opened = [];
    for (const system of closing) {
      await system.shutdown(0);
      if (system.timerCount > 0) throw new Error(`${String(system.timerCount)} timers are left.`);
      if (system.inspect.list().length > 0) throw new Error('Actors are left.');
    }
  });
  return () => {
    const made = testSystem();
    opened.push(made.system);
    return made;
  };
}
