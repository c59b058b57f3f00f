/**
 * A plugin of kind data: writes into each event which region it was captured in, and leaves out what comes from developers' machines.
 *
 *     TROUPE_CAPTURE_PLUGINS=./examples/capture-plugins/add-region.ts
 *
 * or, in a configuration file, with its settings:
 *
 *     plugins:
 *       - module: ./examples/capture-plugins/add-region.ts
 *         config: { region: eu, leaveOut: [localhost] }
 *
 * Types are erased when Node runs this file; a plain .mjs without them does as well.
 */
import type { DataPlugin } from '../../src/capture/plugins/plugin.ts';

interface Settings {
  readonly region?: string;
  readonly leaveOut?: readonly string[];
}

/** The default export makes the plugin: declared twice, there are two of it, each with its own settings. */
export default function addRegion(): DataPlugin {
  let region = 'unknown';
  let leftOut = new Set<unknown>();
  return {
    kind: 'data',
    init(config) {
      const settings = (config ?? {}) as Settings;
      region = settings.region ?? region;
      leftOut = new Set(settings.leaveOut ?? ['localhost', '127.0.0.1']);
    },
    process(event) {
      if (leftOut.has(event.properties['$host'])) return null; // left out; the client is told 200
      event.properties['capture_region'] = region; // the event is a copy: it may be changed
      return event;
    },
  };
}
