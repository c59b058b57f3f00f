import { maskValue, textOf } from './mask.ts';
import type { Problem } from './problem.ts';
import type { GivenValue, Setting, SettingValue } from './setting.ts';

export type ParsedSetting =
  { readonly type: 'value'; readonly value: SettingValue } | { readonly type: 'problem'; readonly problem: Problem };

const TRUE_WORDS = ['y', 'yes', 't', 'true', 'on', '1'];
const FALSE_WORDS = ['n', 'no', 'f', 'false', 'off', '0'];

/**
 * A decimal number in any of its spellings (`30`, `1.0`, `.5`, `1e6`, `+5`): all that PostHog's parseFloat reads to its end. Also
 * `10_000`. Not hexadecimal, and nothing after the number.
 */
const NUMBER = /^[+-]?(\d+(_\d{3})*\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Reads what is given for one setting; without anything, the default. A list may come in parts, which may hold commas. Every form that PostHog writes is read as PostHog reads it. What
 * PostHog would guess at is refused, `30s` (30 to it) and `ture` (false to it): a value that was not understood is worse than a
 * process that did not start.
 */
export function parseSetting(setting: Setting, raw: GivenValue | undefined): ParsedSetting {
  if (raw === undefined) return { type: 'value', value: setting.default };
  const value = typeof raw === 'string' ? valueOf(setting, raw.trim()) : withoutBlanks(raw);
  if (value !== undefined) return { type: 'value', value };
  return {
    type: 'problem',
    problem: { name: setting.name, value: maskValue(setting, raw), isUnreadable: true, allowed: allowedOf(setting), todo: todoOf(setting) },
  };
}

/** Parts of a list as a text of it would have them: blanks around them, and empty ones, are nothing. */
const withoutBlanks = (parts: Exclude<GivenValue, string>): SettingValue =>
  isTexts(parts) ? parts.map((part) => part.trim()).filter((part) => part !== '') : parts;
const isTexts = (parts: Exclude<GivenValue, string>): parts is readonly string[] => parts.every((part) => typeof part === 'string');

/** The value, or undefined when the text is none. */
function valueOf(setting: Setting, text: string): SettingValue {
  switch (setting.kind) {
    case 'text':
      return text;
    case 'list':
      return partsOf(text);
    case 'plugins':
      return partsOf(text).map((module) => ({ module }));
    case 'boolean':
      return TRUE_WORDS.includes(text.toLowerCase()) ? true : FALSE_WORDS.includes(text.toLowerCase()) ? false : undefined;
    case 'choice':
      return setting.choices.find((choice) => choice === text.toLowerCase());
    case 'url':
      return isUrl(text, setting.schemes) ? text : undefined;
    case 'integer':
    case 'number': {
      const number = NUMBER.test(text) ? Number(text.replaceAll('_', '')) : NaN;
      const fits = setting.kind === 'integer' ? Number.isSafeInteger(number) : Number.isFinite(number);
      return fits && number >= setting.min && number <= setting.max ? number : undefined;
    }
  }
}

const partsOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

function isUrl(text: string, schemes: readonly string[]): boolean {
  // PostgreSQL's own form of a socket, `postgres://user@/database?host=/folder`, has a user and no host.
  const parsed = URL.parse(text) ?? URL.parse(text.replace('@/', '@localhost/'));
  return parsed !== null && schemes.includes(parsed.protocol.slice(0, -1));
}

/** What the text of a setting may be, for an error message and for the documentation. */
export function allowedOf(setting: Setting): string {
  switch (setting.kind) {
    case 'text':
      return 'text';
    case 'list':
      return 'parts separated by commas';
    case 'plugins':
      return 'modules separated by commas; in a configuration file a list';
    case 'boolean':
      return `${TRUE_WORDS.join(', ')} or ${FALSE_WORDS.join(', ')}`;
    case 'choice':
      return setting.choices.join(', ');
    case 'url':
      return `an address that begins with ${setting.schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
    case 'integer':
    case 'number': {
      const what = setting.kind === 'integer' ? 'a whole number' : 'a number';
      return setting.max === Number.MAX_SAFE_INTEGER ? `${what} from ${setting.min}` : `${what} from ${setting.min} to ${setting.max}`;
    }
  }
}

function todoOf(setting: Setting): string {
  if (setting.kind === 'integer' || setting.kind === 'number') {
    const isMeasure = !['count', 'ratio', 'per s', 'port'].includes(setting.unit);
    return isMeasure ? `write the number alone: it is in ${setting.unit}` : 'write the number alone';
  }
  return setting.default === undefined ? 'correct it, or leave it out' : `correct it, or leave it out for ${textOf(setting.default)}`;
}
