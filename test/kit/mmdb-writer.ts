import { isIP, isIPv6 } from 'node:net';

/**
 * Writes small MaxMind DB files (format 2.0, records of 32 bits, IPv6 tree) out of networks and their data: fixtures that
 * belong to nobody. Numbers become uint32 when they are whole and not negative, else double; {@link uint16}, {@link uint64}
 * and {@link double} say otherwise.
 */
export function writeMmdb(
  databaseType: string,
  /** `['81.2.69.142/31', record]`; networks must not overlap. */
  networks: readonly (readonly [network: string, data: MmdbValue])[],
  buildEpochS = 1_700_000_000,
): Buffer {
  const data = createDataSection();
  const root: Node = [undefined, undefined];
  for (const [network, value] of networks) plant(root, network, data.offsetOf(value));
  const { tree, nodeCount } = writeTree(root);
  const metadata = encode({
    binary_format_major_version: uint16(2),
    binary_format_minor_version: uint16(0),
    build_epoch: uint64(buildEpochS),
    database_type: databaseType,
    description: { en: 'a fixture' },
    ip_version: uint16(6),
    languages: ['en'],
    node_count: nodeCount,
    record_size: uint16(32),
  });
  return Buffer.concat([tree, Buffer.alloc(SEPARATOR_BYTES), data.bytes(), METADATA_MARK, metadata]);
}

export type MmdbValue = string | number | boolean | Typed | readonly MmdbValue[] | { readonly [key: string]: MmdbValue };
export interface Typed {
  readonly mmdbType: 'uint16' | 'uint64' | 'double';
  readonly value: number;
}
export const uint16 = (value: number): Typed => ({ mmdbType: 'uint16', value });
export const uint64 = (value: number): Typed => ({ mmdbType: 'uint64', value });
export const double = (value: number): Typed => ({ mmdbType: 'double', value });

const SEPARATOR_BYTES = 16;
const METADATA_MARK = Buffer.concat([Buffer.from('abcdef', 'hex'), Buffer.from('MaxMind.com')]);

// ── data ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

const TYPE = { text: 2, double: 3, uint16: 5, uint32: 6, map: 7, uint64: 9, array: 11, boolean: 14 } as const;

/** Equal records are stored once, as in the files of MaxMind. */
function createDataSection(): { offsetOf(value: MmdbValue): number; bytes(): Buffer } {
  const parts: Buffer[] = [];
  const known = new Map<string, number>();
  let length = 0;
  return {
    offsetOf(value) {
      const bytes = encode(value);
      const key = bytes.toString('latin1');
      const found = known.get(key);
      if (found !== undefined) return found;
      const offset = length;
      known.set(key, offset);
      parts.push(bytes);
      length += bytes.length;
      return offset;
    },
    bytes: () => Buffer.concat(parts),
  };
}

function encode(value: MmdbValue): Buffer {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    return Buffer.concat([control(TYPE.text, bytes.length), bytes]);
  }
  if (typeof value === 'boolean') return control(TYPE.boolean, value ? 1 : 0);
  if (typeof value === 'number') {
    const fits = Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff;
    return fits ? unsigned(TYPE.uint32, value) : encode(double(value));
  }
  if (isList(value)) return Buffer.concat([control(TYPE.array, value.length), ...value.map(encode)]);
  if (isTyped(value)) {
    if (value.mmdbType !== 'double') return unsigned(TYPE[value.mmdbType], value.value);
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value.value);
    return Buffer.concat([control(TYPE.double, 8), bytes]);
  }
  const entries = Object.entries(value);
  return Buffer.concat([control(TYPE.map, entries.length), ...entries.flatMap(([key, one]) => [encode(key), encode(one)])]);
}

const isList = (value: MmdbValue): value is readonly MmdbValue[] => Array.isArray(value);
const isTyped = (value: MmdbValue): value is Typed => typeof value === 'object' && 'mmdbType' in value;

/** The byte or bytes before a value: its type and its size, in as few bytes as the size needs. */
function control(type: number, size: number): Buffer {
  if (size >= 65_821 + 2 ** 24) throw new RangeError(`a value of ${size} bytes or members fits no MMDB`);
  const [low, more]: readonly [number, readonly number[]] =
    size < 29
      ? [size, []]
      : size < 285
        ? [29, [size - 29]]
        : size < 65_821
          ? [30, [(size - 285) >> 8, (size - 285) & 255]]
          : [31, [(size - 65_821) >> 16, ((size - 65_821) >> 8) & 255, (size - 65_821) & 255]];
  return Buffer.from(type > 7 ? [low, type - 7, ...more] : [(type << 5) | low, ...more]);
}

/** Big-endian without leading zeros: 0 has no bytes. */
function unsigned(type: number, value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Buffer.concat([control(type, bytes.length), Buffer.from(bytes)]);
}

// ── tree ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Two sides, each a further node, the offset of data, or nothing. */
type Node = [Side, Side];
type Side = Node | number | undefined;

function plant(root: Node, network: string, offset: number): void {
  const bits = bitsOf(network);
  let node = root;
  for (const [depth, bit] of bits.entries()) {
    const side = bit === '1' ? 1 : 0;
    const there = node[side];
    if (depth === bits.length - 1) {
      if (there !== undefined) throw new RangeError(`${network} overlaps another network`);
      node[side] = offset;
      return;
    }
    if (typeof there === 'number') throw new RangeError(`${network} overlaps another network`);
    const next: Node = there ?? [undefined, undefined];
    node[side] = next;
    node = next;
  }
}

/** An IPv4 network stands below 96 zero bits, where readers look for it. */
function bitsOf(network: string): string[] {
  const [address = '', length = ''] = network.split('/');
  const size = Number(length);
  const max = isIPv6(address) ? 128 : 32;
  if (isIP(address) === 0 || !Number.isInteger(size) || size < 1 || size > max) throw new RangeError(`${network} is no network`);
  const bits = isIPv6(address)
    ? bitsOfIpv6(address)
    : address
        .split('.')
        .map((part) => Number(part).toString(2).padStart(8, '0'))
        .join('');
  return [...(max === 32 ? '0'.repeat(96) : ''), ...bits.slice(0, size)];
}

function bitsOfIpv6(address: string): string {
  const [before = '', after] = address.split('::');
  const left = before === '' ? [] : before.split(':');
  const right = after === undefined || after === '' ? [] : after.split(':');
  const groups = after === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}

function writeTree(root: Node): { readonly tree: Buffer; readonly nodeCount: number } {
  const nodes: Node[] = [];
  const numbers = new Map<Node, number>();
  const waiting: Node[] = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    numbers.set(node, nodes.length);
    nodes.push(node);
    for (const side of node) if (Array.isArray(side)) waiting.push(side);
  }
  const valueOf = (side: Side): number => {
    if (side === undefined) return nodes.length;
    return typeof side === 'number' ? nodes.length + SEPARATOR_BYTES + side : (numbers.get(side) ?? nodes.length);
  };
  const tree = Buffer.alloc(nodes.length * 8);
  for (const [index, [left, right]] of nodes.entries()) {
    tree.writeUInt32BE(valueOf(left), index * 8);
    tree.writeUInt32BE(valueOf(right), index * 8 + 4);
  }
  return { tree, nodeCount: nodes.length };
}
