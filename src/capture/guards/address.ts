import { isIP } from 'node:net';

/**
 * An address without what tells one customer of a network from another: of IPv4 the last byte is 0, of IPv6 the first 48 bits stay. The country
 * can still be told. Undefined for what is no address.
 */
export function anonymousAddress(text: string): string | undefined {
  const address = text.trim();
  switch (isIP(address)) {
    case 4:
      return withoutLastByte(address);
    case 6:
      // An IPv4 address in IPv6's clothes.
      return address.includes('.') ? withoutLastByte(address) : first48Bits(address);
    default:
      return undefined;
  }
}

function withoutLastByte(address: string): string {
  return `${address.slice(0, address.lastIndexOf('.'))}.0`;
}

function first48Bits(address: string): string {
  const [left = '', right] = address.split('::');
  const before = left === '' ? [] : left.split(':');
  // What `::` stands for are zeros; so few groups before it that it reaches into the first three.
  const after = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 3).map((group) => parseInt(group, 16).toString(16));
  while (groups.at(-1) === '0') groups.pop();
  return `${groups.join(':')}::`;
}
