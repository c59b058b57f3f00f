import type { Environment } from './environment.ts';
import type { CapturePluginDeclaration } from './plugin-declaration.ts';

/**
 * What a setting is, as data. `schema.ts` is the table of them; load.ts, describe.ts and docs/configuration.md only read it.
 */
export type Unit = 'ms' | 's' | 'days' | 'bytes' | 'MiB' | 'count' | 'ratio' | 'per s' | 'port';

interface Common {
  /** Name of the environment variable. PostHog's where PostHog has one (spec/ingestion.md 8), else TROUPE_<ROOM>_<NAME>_<UNIT>. */
  readonly name: string;
  /** What it does, as a sentence; then what is good to know. */
  readonly prose: string;
  /** What a greater value costs, and what a smaller one does. */
  readonly raise?: string;
  readonly lower?: string;
  /** Never printed. Can also be read from the file that `<name>_FILE` names, as orchestrators mount secrets. */
  readonly secret?: boolean;
  /** A running process takes another value (docs/adr/0023); otherwise it waits for a restart. */
  readonly reloadable?: true;
  /** Shown instead of the default when it is worked out from other settings. */
  readonly derived?: string;
  /** The default in PostHog's other environments, as text; see environment.ts. */
  readonly byEnvironment?: Readonly<Partial<Record<Exclude<Environment, 'production'>, string>>>;
}

export interface NumberSetting extends Common {
  readonly kind: 'integer' | 'number';
  readonly unit: Unit;
  readonly min: number;
  readonly max: number;
  readonly default: number | undefined;
}
export interface BooleanSetting extends Common {
  readonly kind: 'boolean';
  readonly default: boolean | undefined;
}
export interface TextSetting extends Common {
  readonly kind: 'text';
  readonly default: string | undefined;
}
/** Comma-separated; blanks around the parts and empty parts are dropped. */
export interface ListSetting extends Common {
  readonly kind: 'list';
  readonly default: readonly string[] | undefined;
}
export interface ChoiceSetting extends Common {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  readonly default: string | undefined;
}
/** An address; its password, when it has one, is masked wherever the address is shown. */
export interface UrlSetting extends Common {
  readonly kind: 'url';
  readonly schemes: readonly string[];
  readonly default: string | undefined;
}
/** Plugins of capture: modules separated by commas; in a configuration file a list that says more of each. */
export interface PluginsSetting extends Common {
  readonly kind: 'plugins';
  readonly default: readonly CapturePluginDeclaration[];
}
export type Setting = NumberSetting | BooleanSetting | TextSetting | ListSetting | ChoiceSetting | UrlSetting | PluginsSetting;
export type SettingValue = number | boolean | string | readonly string[] | readonly CapturePluginDeclaration[] | undefined;
/** What is read into a value: a text, or what a configuration file has in parts. */
export type GivenValue = string | readonly string[] | readonly CapturePluginDeclaration[];

/** A table row together with the type of the value it loads to. The type exists for the compiler alone. */
export type Typed<Value, S extends Setting = Setting> = S & { readonly valueType?: Value };
export type ValueOf<S> = S extends { readonly valueType?: infer Value } ? Value : never;

type Prose = Omit<Common, 'name'>;
type Bounds = { readonly min?: number; readonly max?: number };

const MAX_TIMER_MS = 2_147_483_647; // beyond it, setTimeout fires at once

export function integer(name: string, unit: Unit, value: number, about: Prose & Bounds): Typed<number, NumberSetting> {
  const ceiling = unit === 'ms' ? MAX_TIMER_MS : unit === 'port' ? 65_535 : Number.MAX_SAFE_INTEGER;
  return { kind: 'integer', name, unit, default: value, min: 0, max: ceiling, ...about };
}
/** An integer that may stay unset, because another setting then decides. */
export function optionalInteger(name: string, unit: Unit, about: Prose & Bounds): Typed<number | undefined, NumberSetting> {
  return { ...integer(name, unit, 0, about), default: undefined };
}
export function ratio(name: string, value: number, about: Prose): Typed<number, NumberSetting> {
  return { kind: 'number', name, unit: 'ratio', default: value, min: 0, max: 1, ...about };
}
/** A number from 0, whole or not. */
export function number(name: string, unit: Unit, value: number, about: Prose & Bounds): Typed<number, NumberSetting> {
  return { kind: 'number', name, unit, default: value, min: 0, max: Number.MAX_SAFE_INTEGER, ...about };
}
export function boolean(name: string, value: boolean, about: Prose): Typed<boolean, BooleanSetting> {
  return { kind: 'boolean', name, default: value, ...about };
}
/** A switch that may stay unset, because another setting then decides. */
export function optionalBoolean(name: string, about: Prose): Typed<boolean | undefined, BooleanSetting> {
  return { kind: 'boolean', name, default: undefined, ...about };
}
export function text(name: string, value: string, about: Prose): Typed<string, TextSetting> {
  return { kind: 'text', name, default: value, ...about };
}
export function optionalText(name: string, about: Prose): Typed<string | undefined, TextSetting> {
  return { kind: 'text', name, default: undefined, ...about };
}
export function list(name: string, about: Prose): Typed<readonly string[], ListSetting> {
  return { kind: 'list', name, default: [], ...about };
}
export function capturePlugins(name: string, about: Prose): Typed<readonly CapturePluginDeclaration[], PluginsSetting> {
  return { kind: 'plugins', name, default: [], ...about };
}
export function choice<const Choice extends string>(
  name: string,
  choices: readonly Choice[],
  value: NoInfer<Choice>,
  about: Prose,
): Typed<Choice, ChoiceSetting> {
  return { kind: 'choice', name, choices, default: value, ...about };
}
export function optionalChoice<const Choice extends string>(
  name: string,
  choices: readonly Choice[],
  about: Prose,
): Typed<Choice | undefined, ChoiceSetting> {
  return { kind: 'choice', name, choices, default: undefined, ...about };
}
export function optionalUrl(name: string, schemes: readonly string[], about: Prose): Typed<string | undefined, UrlSetting> {
  return { kind: 'url', name, schemes, default: undefined, ...about };
}
