import { compressSync as bareSnappy } from 'snappy';
import { describe, expect, it } from 'vitest';
import { lz4Codec, snappyCodec, zstdCodec } from '../../../src/kafka/codecs.ts';

const codecs = { zstd: zstdCodec, lz4: lz4Codec, snappy: snappyCodec };
const bodies = {
  'one byte': Buffer.from('x'),
  text: Buffer.from('distinct_id '.repeat(50_000)),
  'bytes of every value': Buffer.from(Array.from({ length: 100_000 }, (_, n) => (n * 7919) % 256)),
};

describe('codecs', () => {
  for (const [name, codec] of Object.entries(codecs)) {
    it.each(Object.entries(bodies))(`${name} gives back %s`, async (_, body) => {
      const compressed = await codec.compress({ buffer: body });
      expect((await codec.decompress(compressed)).equals(body)).toBe(true);
    });
  }

  it('snappy writes the framing of the Java client, in blocks of 32 KiB', async () => {
    const compressed = await snappyCodec.compress({ buffer: Buffer.alloc(70_000, 'a') });
    expect(compressed.subarray(0, 16).toString('hex')).toBe('82534e41505059000000000100000001');
    let blocks = 0;
    for (let at = 16; at < compressed.length; at += 4 + compressed.readUInt32BE(at)) blocks++;
    expect(blocks).toBe(3);
  });

  it('snappy reads one bare block, as librdkafka may send it', async () => {
    expect((await snappyCodec.decompress(bareSnappy(bodies.text))).equals(bodies.text)).toBe(true);
  });

  it('snappy refuses a block that is cut off', async () => {
    const compressed = await snappyCodec.compress({ buffer: bodies.text });
    await expect(snappyCodec.decompress(compressed.subarray(0, compressed.length - 5))).rejects.toThrow('cut off');
  });
});
