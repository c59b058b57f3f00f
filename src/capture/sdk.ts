import { asJsonObject } from '../domain/json.ts';
import { json, script, type Answer } from './answers.ts';
import type { SdkRoute } from './routes.ts';

/**
 * What SDKs ask besides sending events (spec/capture.md 14): feature flags, remote configuration, surveys. Troupe has
 * none of these; the answers are empty sets in the shapes that SDKs accept, so that they neither fail nor ask again.
 */
export function sdkAnswer(route: SdkRoute, query: URLSearchParams | undefined, token: string | undefined, requestId: string): Answer {
  switch (route.type) {
    case 'flags':
      return json(
        JSON.stringify({
          flags: {},
          errorsWhileComputingFlags: false,
          requestId,
          ...(query?.get('config') === 'true' ? remoteConfig(token) : {}),
        }),
      );
    case 'decide': {
      const flags = Number(query?.get('v') ?? '3') >= 4 ? { flags: {} } : { featureFlags: {}, featureFlagPayloads: {} };
      return json(JSON.stringify({ ...flags, errorsWhileComputingFlags: false, requestId, ...remoteConfig(token) }));
    }
    case 'flag-definitions':
      return json('{"flags":[],"group_type_mapping":{},"cohorts":{}}');
    case 'surveys':
      return json('{"surveys":[]}');
    case 'remote-config':
      return json(JSON.stringify(remoteConfig(token)));
    case 'remote-config-script': {
      const site = JSON.stringify({ config: remoteConfig(token), siteApps: [] });
      const key = JSON.stringify(token ?? '');
      return script(
        `(function(){window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{};window._POSTHOG_REMOTE_CONFIG[${key}]=${site};})();`,
      );
    }
  }
}

/** Tells posthog-js to compress, where to send, and to leave everything alone that would need another service. */
function remoteConfig(token: string | undefined): Readonly<Record<string, unknown>> {
  return {
    token,
    supportedCompression: ['gzip', 'gzip-js'],
    analytics: { endpoint: '/i/v0/e/' },
    hasFeatureFlags: false,
    elementsChainAsString: true,
    autocapture_opt_out: false,
    capturePerformance: false,
    autocaptureExceptions: false,
    heatmaps: false,
    surveys: false,
    captureDeadClicks: false,
    defaultIdentifiedOnly: true,
    isAuthenticated: false,
    siteApps: [],
    sessionRecording: false,
  };
}

/** The token of a request for flags or configuration: in the path, or in the body where that can be read. */
export function tokenAsked(url: string, body: string | undefined): string | undefined {
  const inPath = /^\/array\/([^/?]+)\//.exec(url)?.[1];
  if (inPath !== undefined) return decodeOrRaw(inPath);
  if (body === undefined) return undefined;
  try {
    const fields = asJsonObject(JSON.parse(body));
    const token = fields?.['token'] ?? fields?.['api_key'];
    return typeof token === 'string' ? token : undefined;
  } catch {
    return undefined; // the token is only echoed: a body nobody can read gets the same empty sets
  }
}

function decodeOrRaw(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
