import { asJsonObject } from '../domain/json.ts';
import { json, script, type Answer } from './answers.ts';
import type { SdkRouteType } from './routes.ts';

/** What of PostHog's configuration an operator decides. */
export interface SdkSettings {
  /** Whether posthog-js shall record sessions. */
  readonly recordings: boolean;
}

/** What was asked. */
export interface SdkQuestion {
  readonly query: URLSearchParams | undefined;
  /** Only echoed. */
  readonly token: string | undefined;
  readonly requestId: string;
}

/**
 * What SDKs ask besides sending events (spec/capture.md 14): feature flags, remote configuration, surveys and their like. Troupe has
 * none of these; the answers are empty sets in the shapes that SDKs accept, so that they neither fail nor ask again.
 */
export function sdkAnswer(type: SdkRouteType, { query, token, requestId }: SdkQuestion, settings: SdkSettings): Answer {
  const config = remoteConfig(token, settings);
  switch (type) {
    case 'flags': {
      const wantsConfig = query?.get('config') === 'true';
      return json(JSON.stringify({ flags: {}, errorsWhileComputingFlags: false, requestId, ...(wantsConfig ? config : {}) }));
    }
    case 'decide': {
      const flags = Number(query?.get('v') ?? '3') >= 4 ? { flags: {} } : { featureFlags: {}, featureFlagPayloads: {} };
      return json(JSON.stringify({ ...flags, errorsWhileComputingFlags: false, requestId, ...config, ...COLLECTS_EVERYTHING }));
    }
    case 'flag-definitions':
      return json('{"flags":[],"group_type_mapping":{},"cohorts":{}}');
    case 'surveys':
      return json('{"surveys":[]}');
    case 'early-access-features':
      return json('{"earlyAccessFeatures":[]}');
    case 'web-experiments':
      return json('{"experiments":[]}');
    case 'product-tours':
      return json('{"product_tours":[]}');
    case 'remote-config':
      return json(JSON.stringify(config));
    case 'remote-config-script': {
      const site = JSON.stringify({ config, siteApps: [] });
      const key = JSON.stringify(token ?? '');
      return script(
        `(function(){window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{};window._POSTHOG_REMOTE_CONFIG[${key}]=${site};})();`,
      );
    }
  }
}

/** posthog-js 1.96 captures no clicks unless it is told this; later generations do not look at it. */
const COLLECTS_EVERYTHING = { config: { enable_collect_everything: true } };

/** Tells posthog-js to compress, where to send, and to leave everything alone that would need another service. */
function remoteConfig(token: string | undefined, { recordings }: SdkSettings): Readonly<Record<string, unknown>> {
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
    sessionRecording: recordings ? { endpoint: '/s/', recorderVersion: 'v2' } : false,
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
