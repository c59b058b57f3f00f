import {
  brotliDecompress,
  brotliDecompressSync,
  constants,
  gunzip,
  gunzipSync,
  inflate,
  inflateRaw,
  inflateRawSync,
  inflateSync,
  zstdDecompress,
  zstdDecompressSync,
} from 'node:zlib';

/** Compressions of bytes; lz64 is one of text. */
export type Compression = 'gzip' | 'deflate' | 'br' | 'zstd';

/** Resolves to 'too-large' as soon as more than `limitBytes` came out. Rejects when the bytes are not of that compression. */
export type Inflate = (compression: Compression, bytes: Buffer, limitBytes: number) => Promise<Buffer | 'too-large'>;

interface Options {
  readonly maxOutputLength: number;
}
interface Codec {
  readonly sync: (bytes: Buffer, options: Options) => Buffer;
  readonly pooled: (bytes: Buffer, options: Options, done: (error: Error | null, result: Buffer) => void) => void;
}

/** RFC 9659: what HTTP's zstd may want of its reader. Without it a frame of a few bytes claims 128 MiB. */
const ZSTD_WINDOW = { params: { [constants.ZSTD_d_windowLogMax]: 23 } };

const GZIP: Codec = { sync: gunzipSync, pooled: gunzip };
const ZLIB: Codec = { sync: inflateSync, pooled: inflate };
const RAW: Codec = { sync: inflateRawSync, pooled: inflateRaw };
const BROTLI: Codec = { sync: brotliDecompressSync, pooled: brotliDecompress };
const ZSTD: Codec = {
  sync: (bytes, options) => zstdDecompressSync(bytes, { ...ZSTD_WINDOW, ...options }),
  pooled: (bytes, options, done) => zstdDecompress(bytes, { ...ZSTD_WINDOW, ...options }, done),
};

/** `deflate` is zlib by the standard and raw by some clients; the first two bytes tell. */
function codecOf(compression: Compression, bytes: Buffer): Codec {
  switch (compression) {
    case 'gzip':
      return GZIP;
    case 'br':
      return BROTLI;
    case 'zstd':
      return ZSTD;
    case 'deflate':
      return bytes.length >= 2 && ((bytes[0] ?? 0) & 0x0f) === 8 && bytes.readUInt16BE(0) % 31 === 0 ? ZLIB : RAW;
  }
}

/** A trip to the thread pool costs more than inflating an ordinary request. */
const SMALL_BYTES = 16 * 1024;
/** Inflating this much holds the loop for 3 ms at the most; a body that wants more takes its turn in the pool. */
const SMALL_RESULT_BYTES = 1024 * 1024;

/**
 * An {@link Inflate} of which at most `concurrentCount` run, so that a crowd of small bodies cannot become gigabytes at
 * once; the others wait their turn.
 */
export function createInflate(concurrentCount: number): Inflate {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (compression, bytes, limitBytes) => {
    const codec = codecOf(compression, bytes);
    const small = bytes.length <= SMALL_BYTES ? inflateSmall(codec, bytes, limitBytes) : undefined;
    if (small !== undefined) return small;
    if (running >= concurrentCount) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await new Promise((resolve, reject) => {
        codec.pooled(bytes, { maxOutputLength: limitBytes }, (error, result) => {
          if (error === null) resolve(result);
          else if (isTooLarge(error)) resolve('too-large');
          else reject(error);
        });
      });
    } finally {
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

/** Undefined when the result is not small. @throws what zlib throws for bytes it cannot read. */
function inflateSmall(codec: Codec, bytes: Buffer, limitBytes: number): Buffer | undefined {
  try {
    return codec.sync(bytes, { maxOutputLength: Math.min(limitBytes, SMALL_RESULT_BYTES) });
  } catch (error) {
    if (isTooLarge(error as Error)) return undefined;
    throw error;
  }
}

const isTooLarge = (error: Error): boolean => (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
