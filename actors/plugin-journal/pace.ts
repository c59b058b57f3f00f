/**
 * How much of something each plugin config may have in a second. The seconds are those of the clock, not of the plugin: a
 * window is begun anew with the first of each, so nothing has to be forgotten one by one.
 */
export interface Pace {
  /** Takes one of the second's share. False: it is spent. */
  take(pluginConfigId: number, nowMs: number): boolean;
}

export function createPace(perSecondCount: number): Pace {
  let second = -1;
  const taken = new Map<number, number>();
  return {
    take(pluginConfigId, nowMs) {
      const current = Math.floor(nowMs / 1_000);
      if (current !== second) {
        second = current;
        taken.clear();
      }
      const count = taken.get(pluginConfigId) ?? 0;
      if (count >= perSecondCount) return false;
      taken.set(pluginConfigId, count + 1);
      return true;
    },
  };
}
