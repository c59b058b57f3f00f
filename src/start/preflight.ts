import { messageOf } from '../domain/strings.ts';
import { state } from '../observe/facts.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';

/** What PostHog's web reads to show, before anything else works, that a plugin-server runs, and which (C-8). */
const PING_KEY = '@posthog-plugin-server/ping';
const VERSION_KEY = '@posthog-plugin-server/version';
const EVERY_MS = 5_000;
/** PostHog's web takes a ping for alive while the key is there. */
const TTL_MS = 60_000;

export interface PreflightOptions {
  readonly store: Pick<StateStore, 'set'>;
  readonly clock: Clock;
  readonly version: string;
}

/**
 * Says in Redis that this process lives: now, and every 5 s. Both keys go out after a minute without us; PostHog's version key stays for
 * ever, and then speaks of a server that is gone. A store that is away is a warning: the next time comes soon.
 */
export function startPreflight({ store, clock, version }: PreflightOptions): { stop(): void } {
  let stopped = false;
  let timer = clock.after(0, tick);

  function tick(): void {
    void tell().then(() => {
      if (!stopped) timer = clock.after(EVERY_MS, tick);
    });
  }

  async function tell(): Promise<void> {
    try {
      await Promise.all([store.set(PING_KEY, new Date(clock.now()).toISOString(), TTL_MS), store.set(VERSION_KEY, version, TTL_MS)]);
    } catch (error) {
      const fields = { error: messageOf(error) };
      state('log-written', { level: 'warn', message: "PostHog's web could not be told that this process lives.", fields });
    }
  }

  return {
    stop() {
      stopped = true;
      timer.cancel();
    },
  };
}
