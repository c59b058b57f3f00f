/** Lets one loop sleep until something happened. A ring while nobody waits is remembered, so no wake-up is lost. */
export interface Bell {
  ring(): void;
  wait(): Promise<void>;
}

export function createBell(): Bell {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      if (wake === undefined) {
        rung = true;
        return;
      }
      const run = wake;
      wake = undefined;
      run();
    },
    wait() {
      if (rung) {
        rung = false;
        return Promise.resolve();
      }
      return new Promise((resolve) => (wake = resolve));
    },
  };
}
