import type { GivenValue, Setting, SettingValue } from './setting.ts';

const MASK = '******';

/** A value as it may be shown: secrets masked, of an address only its password. */
export function maskValue(setting: Setting, value: SettingValue | GivenValue): string {
  if (value === undefined) return '';
  const shown = textOf(value);
  if (setting.kind === 'url') return maskAddress(shown, setting.secret === true);
  return setting.secret === true ? MASK : shown;
}

/** A value as one text; of plugins only their modules. */
export function textOf(value: SettingValue | GivenValue): string {
  return isList(value) ? value.map((one) => (typeof one === 'string' ? one : one.module)).join(',') : String(value);
}

type List = Extract<SettingValue | GivenValue, readonly unknown[]>;
/** Array.isArray knows no readonly ones. */
const isList = (value: SettingValue | GivenValue): value is List => Array.isArray(value);

/** Text that is no address might be a password pasted into the wrong line: of a secret nothing of it is shown. */
function maskAddress(text: string, isSecret: boolean): string {
  const address = URL.parse(text);
  if (address === null) return isSecret ? MASK : text;
  if (address.password !== '') address.password = MASK;
  for (const key of address.searchParams.keys()) if (/pass|secret|token|key/i.test(key)) address.searchParams.set(key, MASK);
  return address.href;
}
