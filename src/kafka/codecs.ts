import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { compress as snappyCompress, uncompress as snappyUncompress } from 'snappy';

/**
 * kafkajs knows gzip only, and its consumer crashes at the first batch in any other codec. A topic's codec is the choice
 * of whoever produces to it, so all four are registered wherever we consume.
 */
export interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(buffer: Buffer): Promise<Buffer>;
}

const zstd = promisify(zstdCompress);
const unzstd = promisify(zstdDecompress);

export const zstdCodec: Codec = {
  compress: ({ buffer }) => zstd(buffer),
  decompress: (buffer) => unzstd(buffer),
};

/** Kafka's lz4 is the frame format. */
export const lz4Codec: Codec = {
  compress: ({ buffer }) => compressFrame(buffer),
  decompress: (buffer) => decompressFrame(buffer),
};

/**
 * The Java client wraps snappy in the framing of the xerial library: a 16-byte header (magic, version, lowest compatible
 * version), then blocks of a 32-bit length and that many compressed bytes. Others send one bare block.
 */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const XERIAL_BLOCK_BYTES = 32 * 1024;

export const snappyCodec: Codec = {
  async compress({ buffer }) {
    const parts: Buffer[] = [XERIAL_MAGIC, uint32(1), uint32(1)];
    for (let at = 0; at < buffer.length; at += XERIAL_BLOCK_BYTES) {
      const block = await snappyCompress(buffer.subarray(at, at + XERIAL_BLOCK_BYTES));
      parts.push(uint32(block.length), block);
    }
    return Buffer.concat(parts);
  },
  async decompress(buffer) {
    if (!buffer.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return asBuffer(await snappyUncompress(buffer));
    const parts: Buffer[] = [];
    let at = XERIAL_HEADER_BYTES;
    while (at < buffer.length) {
      const length = buffer.readUInt32BE(at);
      at += 4;
      if (at + length > buffer.length) throw new RangeError('snappy: the last block is cut off');
      parts.push(asBuffer(await snappyUncompress(buffer.subarray(at, at + length))));
      at += length;
    }
    return Buffer.concat(parts);
  },
};

/** Registers the codecs in kafkajs for this process; gzip is there already. Calling it again changes nothing. */
export function registerCodecs(): void {
  const { CompressionCodecs, CompressionTypes } = kafkajs;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstdCodec;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4Codec;
  CompressionCodecs[CompressionTypes.Snappy] = () => snappyCodec;
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}

const asBuffer = (bytes: string | Buffer): Buffer => (typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
