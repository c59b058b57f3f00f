import type { Json } from './event.ts';

/**
 * What a team's events and properties are called (spec/ingestion.md 2.9): the menus of PostHog. The rules of October 2024 are the
 * baseline (D-1 to D-5), which a consumer of its own applied to stored events; here they are applied to the finished row.
 */
export type PropertyType = 'DateTime' | 'String' | 'Numeric' | 'Boolean';

/** posthog_propertydefinition.type (D-4). */
export const PARENT = { event: 1, person: 2, group: 3 } as const;
export type Parent = (typeof PARENT)[keyof typeof PARENT];

export interface EventSeen {
  readonly teamId: number;
  readonly name: string;
  /** Epoch ms, floored to the hour (D-2). */
  readonly hourMs: number;
}
export interface PropertySeen {
  readonly teamId: number;
  readonly name: string;
  readonly parent: Parent;
  /** Undefined unless the parent is a group. */
  readonly groupTypeIndex: number | undefined;
  /** Undefined: the value says nothing (D-5). */
  readonly propertyType: PropertyType | undefined;
}
export interface EventPropertySeen {
  readonly teamId: number;
  readonly event: string;
  readonly property: string;
}

/** Names that may be new. Writing one that is not changes nothing. */
export interface Definitions {
  readonly events: EventSeen[];
  readonly properties: PropertySeen[];
  readonly eventProperties: EventPropertySeen[];
}
export const noDefinitions = (): Definitions => ({ events: [], properties: [], eventProperties: [] });
export const definitionCount = ({ events, properties, eventProperties }: Definitions): number =>
  events.length + properties.length + eventProperties.length;

/** A stored event, as far as its names go. */
export interface NamedEvent {
  readonly teamId: number;
  /** As in the row (N-20). */
  readonly event: string;
  /** As in the row; undefined values are not there. */
  readonly properties: Readonly<Json>;
  /** Index of a group type of the team; undefined when it has none (G-2). */
  readonly groupTypeIndex: (groupType: string) => number | undefined;
}

/** D-1: in bytes of UTF-8. */
const MAX_NAME_BYTES = 200;
/** D-1: an event that would make more updates makes none. */
export const MAX_UPDATES_PER_EVENT = 10_000;

const HOUR_MS = 3_600_000;
/** D-2 */
export const hourOf = (epochMs: number): number => Math.floor(epochMs / HOUR_MS) * HOUR_MS;

/** D-1: an event whose names are kept. */
export const isNamed = (event: string): boolean => event !== '$$plugin_metrics' && fits(event);

/** D-1. Most names are short enough in whatever letters. */
export const fits = (name: string): boolean => name.length * 3 <= MAX_NAME_BYTES || Buffer.byteLength(name) <= MAX_NAME_BYTES;

const NO_EVENT_PROPERTIES: ReadonlySet<string> = new Set([
  '$set',
  '$set_once',
  '$unset',
  '$group_0',
  '$group_1',
  '$group_2',
  '$group_3',
  '$group_4',
  '$groups',
]);
/** D-4: keys that are not properties of an event although they stand among them. */
export const isEventProperty = (key: string): boolean => !NO_EVENT_PROPERTIES.has(key);

const STRING_PREFIXES = ['utm_', '$feature/', '$survey_response'];
const BOOLEAN_TEXTS: ReadonlySet<string> = new Set(['true', 'TRUE', 'false', 'FALSE']);

/** D-5: what the value, or the name alone, says of the type. */
export function propertyTypeOf(key: string, value: unknown): PropertyType | undefined {
  if (key === '$feature_flag_response' || STRING_PREFIXES.some((prefix) => key.startsWith(prefix))) return 'String';
  switch (typeof value) {
    case 'string':
      return BOOLEAN_TEXTS.has(value.trim()) ? 'Boolean' : 'String';
    case 'number':
      return key.includes('time') || key.includes('TIME') ? 'DateTime' : 'Numeric';
    case 'boolean':
      return 'Boolean';
    default:
      return undefined;
  }
}
