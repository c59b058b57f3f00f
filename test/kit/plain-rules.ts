import type { Json } from '../../src/domain/event.ts';

/**
 * Sections 1.7 and 2 of spec/ingestion.md once more, sentence by sentence and in its order: copies instead of edits in place, and no
 * thought of speed. It shares nothing with src/domain, so that a rule misread there is not misread here in the same way.
 */
export interface PlainTeam {
  readonly anonymizeIps: boolean;
  readonly heatmapsOptIn: boolean;
  /** Known group types, by index. */
  readonly groupTypes: readonly string[];
}
export interface PlainRecord {
  /** Of valid types: what else a field may be is the business of the hostile table. */
  readonly outer: Json & { readonly now: string };
  readonly inner: Json;
}
export interface PlainResult {
  /** Last step of the pipeline, as the spec calls it. */
  readonly step: string;
  readonly warnings: readonly string[];
  readonly row?: {
    readonly event: string;
    readonly properties: Json;
    readonly elementsChain: string;
    readonly timestamp: string;
  };
  readonly heatmaps: readonly Json[];
}

const LIST_A = `$app_build $app_name $app_namespace $app_version $browser $browser_version $device_type $current_url $pathname $os
  $os_name $os_version $referring_domain $referrer utm_source utm_medium utm_campaign utm_content utm_name utm_term gclid
  gad_source gclsrc dclid gbraid wbraid fbclid msclkid twclid li_fat_id mc_cid igshid ttclid rdt_cid`.split(/\s+/);
const HOURS_23_MS = 23 * 3_600_000;

/** 1.7 */
export function plainly(record: PlainRecord, edit: (event: Json) => void, team: PlainTeam): PlainResult {
  const warnings: string[] = [];
  const { data: _, ...envelope } = record.outer as Json;
  let event: Json = normalised({ ...record.inner, ...envelope }); // K-20, K-22
  const name = event['event'] as string;

  const flag = (event['properties'] as Json)['$process_person_profile']; // 2.6
  const isPersonless = flag === false;
  if (isPersonless && ['$identify', '$create_alias', '$merge_dangerously', '$groupidentify'].includes(name))
    return { step: 'invalidEventForProvidedFlags', warnings: ['invalid_event_when_process_person_profile_is_false'], heatmaps: [] };
  if (!isPersonless && flag !== undefined && flag !== true) warnings.push('invalid_process_person_profile');
  if (isPersonless || name === '$groupidentify') event = withoutUpdates(event);

  if (name === '$$client_ingestion_warning')
    return { step: 'clientIngestionWarning', warnings: [...warnings, name.slice(2)], heatmaps: [] };
  if (name === '$$heatmap') {
    const timestamp = timestampOf(event, warnings);
    return { step: 'extractHeatmapDataStep', heatmaps: heatmapOf(event, team, timestamp, warnings).rows, warnings };
  }

  edit(event);
  event = normalised(event);
  if (isPersonless || name === '$groupidentify') event = withoutUpdates(event);
  const timestamp = timestampOf(event, warnings);
  let properties = event['properties'] as Json;
  if (team.anonymizeIps && properties['$ip']) properties = without(properties, '$ip');
  if (!isPersonless) {
    Object.entries((properties['$groups'] ?? {}) as Json).forEach(([type, key]) => {
      const index = team.groupTypes.indexOf(type);
      if (index >= 0) properties = { ...properties, [`$group_${index}`]: key };
    });
  }
  const heatmap = heatmapOf({ ...event, properties }, team, timestamp, warnings);
  properties = heatmap.properties;
  if (event['event'] === '$exception') properties = withFingerprint(properties);
  let elementsChain = '';
  try {
    elementsChain = chainOf(properties);
    properties = without(properties, '$elements', '$elements_chain');
  } catch {
    // E-2
  }
  properties = without(properties, '$process_person_profile');
  if (isPersonless) {
    properties = without(properties, '$group_0', '$group_1', '$group_2', '$group_3', '$group_4');
    properties['$process_person_profile'] = false;
  }
  return { step: 'createEventStep', warnings, row: { event: name, properties, elementsChain, timestamp }, heatmaps: heatmap.rows };
}

const without = (object: Json, ...keys: readonly string[]): Json =>
  Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));

function withoutUpdates(event: Json): Json {
  const rest = without(event, '$set', '$set_once', '$unset');
  return { ...rest, properties: without(event['properties'] as Json, '$set', '$set_once', '$unset') };
}

/** 2.1 */
function normalised(event: Json): Json {
  let properties: Json = { ...((event['properties'] ?? {}) as Json) };
  if (event['$set']) properties['$set'] = { ...(properties['$set'] as Json), ...(event['$set'] as Json) };
  if (event['$set_once']) properties['$set_once'] = { ...(properties['$set_once'] as Json), ...(event['$set_once'] as Json) };
  if (!properties['$ip'] && event['ip']) properties['$ip'] = event['ip'];
  if (event['event'] !== '$snapshot' && event['event'] !== '$performance_event') properties = withPersonProperties(properties);
  if (event['sent_at']) properties['$sent_at'] = event['sent_at'];
  return { ...event, ip: null, properties };
}

/** 2.2 */
function withPersonProperties(properties: Json): Json {
  const found = Object.entries(properties).filter(([key]) => LIST_A.includes(key));
  if (found.length === 0) return properties;
  const initial = found.map(([key, value]): [string, unknown] => [`$initial_${key.replace('$', '')}`, value]);
  const set: Json = { ...Object.fromEntries(found), ...(properties['$set'] as Json) };
  const setOnce: Json = { ...Object.fromEntries(initial), ...(properties['$set_once'] as Json) };
  const result: Json = { ...properties, $set: set, $set_once: setOnce };
  const osName = properties['$os_name'];
  if (osName) {
    result['$os'] ??= osName;
    set['$os'] ??= osName;
    setOnce['$initial_os'] ??= osName;
    delete set['$os_name'];
    delete setOnce['$initial_os_name'];
  }
  return result;
}

/** 2.4 */
function timestampOf(event: Json, warnings: string[]): string {
  const { timestamp, offset, sent_at: sentAt } = event;
  const now = Date.parse(event['now'] as string);
  let sent: number | undefined;
  if (sentAt && !(event['properties'] as Json)['$ignore_sent_at']) {
    sent = Date.parse(sentAt as string);
    if (Number.isNaN(sent)) {
      warnings.push('ignored_invalid_timestamp');
      sent = undefined;
    }
  }
  const result = ((): number => {
    let skewed: number | undefined;
    if (timestamp) {
      const at = new Date(timestamp as string).getTime();
      if (sent === undefined || Number.isNaN(at)) return at;
      skewed = now + (at - sent);
    }
    if (offset) return now - (offset as number);
    return skewed ?? now;
  })();
  if (result - now > HOURS_23_MS) {
    warnings.push('event_timestamp_in_future');
    return new Date(now).toISOString();
  }
  if (!Number.isNaN(result)) return new Date(result).toISOString();
  warnings.push('ignored_invalid_timestamp');
  return 'wall clock';
}

/** 2.7 */
function chainOf(properties: Json): string {
  if (properties['$elements_chain']) return properties['$elements_chain'] as string;
  const elements = (properties['$elements'] ?? []) as readonly Json[];
  return elements
    .map((element) => {
      const given = element['attr__class'];
      const classes = !given ? [] : typeof given === 'string' ? given.split(' ') : (given as string[]);
      const text = (element['$el_text'] as string | undefined)?.slice(0, 400);
      const href = (element['attr__href'] as string | undefined)?.slice(0, 2048);
      const attributes: Json = {
        ...(text ? { text } : {}),
        'nth-child': element['nth_child'] ?? 0,
        'nth-of-type': element['nth_of_type'] ?? 0,
        ...(href ? { href } : {}),
        ...(element['attr__id'] ? { attr_id: element['attr__id'] } : {}),
        ...Object.fromEntries(Object.entries(element).filter(([key]) => key.startsWith('attr__'))),
      };
      const escaped = (value: unknown): string => (value as { toString(): string }).toString().replaceAll('"', '\\"');
      const head =
        ((element['tag_name'] as string | undefined) ?? '') +
        [...classes]
          .sort()
          .map((one) => `.${one.replaceAll('"', '')}`)
          .join('');
      const tail = Object.entries(attributes)
        .sort(([a], [b]) => a.localeCompare(b, 'en'))
        .map(([key, value]) => `${escaped(key)}="${escaped(value)}"`);
      return `${head}:${tail.join('')}`;
    })
    .join(';');
}

/** 2.11 */
function heatmapOf(
  event: Json,
  team: PlainTeam,
  timestamp: string,
  warnings: string[],
): { readonly properties: Json; readonly rows: readonly Json[] } {
  const all = event['properties'] as Json;
  const properties = without(all, '$heatmap_data');
  const none = { properties, rows: [] };
  if (!team.heatmapsOptIn) return none;
  const data: [string, readonly Json[]][] = Object.entries((all['$heatmap_data'] ?? {}) as Record<string, readonly Json[]>);
  if (all['$prev_pageview_pathname'] && all['$current_url']) {
    try {
      const url = new URL(all['$current_url']);
      url.pathname = all['$prev_pageview_pathname'] as string;
      data.push([url.toString(), [{ x: 0, y: all['$prev_pageview_max_scroll'], target_fixed: false, type: 'scrolldepth' }]]);
    } catch {
      warnings.push('invalid_heatmap_data');
      return none;
    }
  }
  const [height, width] = [all['$viewport_height'], all['$viewport_width']];
  if (data.length === 0 || typeof height !== 'number' || typeof width !== 'number') return none;
  const cells = (pixels: unknown): number => Math.round((pixels as number) / 16);
  const rows = data.flatMap(([url, items]) =>
    url.trim() === ''
      ? []
      : items
          .filter(({ x, y, type }) => typeof x === 'number' && typeof y === 'number' && typeof type === 'string' && type.trim() !== '')
          .map(({ x, y, type, target_fixed: isFixed }) => ({
            ...{
              type,
              x: cells(x),
              y: cells(y),
              pointerTargetFixed: Boolean(isFixed),
              viewportHeight: cells(height),
              viewportWidth: cells(width),
            },
            ...{ currentUrl: url, sessionId: String(all['$session_id']), scaleFactor: 16, distinctId: event['distinct_id'], timestamp },
          })),
  );
  return { properties, rows };
}

/** 2.12 */
function withFingerprint(properties: Json): Json {
  if (properties['$exception_fingerprint']) return properties;
  const frames = ((): readonly Json[] | undefined => {
    const raw = properties['$exception_stack_trace_raw'];
    const [first] = (properties['$exception_list'] ?? []) as readonly { stacktrace?: { frames?: readonly Json[] } }[];
    try {
      return raw ? (JSON.parse(raw as string) as readonly Json[]) : first?.stacktrace?.frames;
    } catch {
      return undefined;
    }
  })();
  const parts = [properties['$exception_type'], properties['$exception_message'], frames?.[0]?.['function']].filter(Boolean);
  return parts.length === 0 ? properties : { ...properties, $exception_fingerprint: parts };
}
