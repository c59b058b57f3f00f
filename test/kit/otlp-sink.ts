import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A span as it arrived over OTLP/HTTP. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for the root of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  /** 2 is an error. */
  readonly statusCode: number;
}

export interface OtlpSink {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly endpoint: string;
  readonly spans: readonly ReceivedSpan[];
  /** Paths asked for, each once: `/v1/traces` and nothing else. */
  readonly paths: ReadonlySet<string>;
  close(): Promise<void>;
}

/** A collector of 40 lines: takes OTLP/HTTP in protobuf and keeps the spans. */
export async function startOtlpSink(): Promise<OtlpSink> {
  const spans: ReceivedSpan[] = [];
  const paths = new Set<string>();
  const server = createServer((request, response) => {
    paths.add(request.url ?? '');
    void bodyOf(request).then((body) => {
      spans.push(...spansOf(body));
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    paths,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** ExportTraceServiceRequest: resource_spans (1) → scope_spans (2) → spans (2). */
function spansOf(body: Buffer): ReceivedSpan[] {
  return bytesIn(body, 1).flatMap((resource) => bytesIn(resource, 2).flatMap((scope) => bytesIn(scope, 2).map(toSpan)));
}

function toSpan(bytes: Buffer): ReceivedSpan {
  const fields = readFields(bytes);
  const hex = (at: number): string => bytesOf(fields.get(at)?.[0]).toString('hex');
  const timeMs = (at: number): number => Number(numberOf(fields.get(at)?.[0]) / 1_000_000n);
  return {
    traceId: hex(1),
    spanId: hex(2),
    parentSpanId: hex(4),
    name: bytesOf(fields.get(5)?.[0]).toString(),
    kind: Number(numberOf(fields.get(6)?.[0])),
    startMs: timeMs(7),
    endMs: timeMs(8),
    attributes: Object.fromEntries((fields.get(9) ?? []).map((entry) => toAttribute(bytesOf(entry)))),
    links: (fields.get(13) ?? []).map((entry) => {
      const link = readFields(bytesOf(entry));
      return { traceId: bytesOf(link.get(1)?.[0]).toString('hex'), spanId: bytesOf(link.get(2)?.[0]).toString('hex') };
    }),
    statusCode: Number(numberOf(readFields(bytesOf(fields.get(15)?.[0])).get(3)?.[0])),
  };
}

/** KeyValue: key (1), value (2); AnyValue: string (1), bool (2), int (3), double (4). */
function toAttribute(bytes: Buffer): [string, string | number | boolean] {
  const fields = readFields(bytes);
  const value = readFields(bytesOf(fields.get(2)?.[0]));
  const [[kind, [held]] = [0, []]] = [...value];
  const key = bytesOf(fields.get(1)?.[0]).toString();
  if (kind === 1) return [key, bytesOf(held).toString()];
  if (kind === 2) return [key, numberOf(held) === 1n];
  if (kind === 3) return [key, Number(numberOf(held))];
  const double = Buffer.alloc(8);
  double.writeBigUInt64LE(numberOf(held));
  return [key, double.readDoubleLE()];
}

type Field = Buffer | bigint;
const bytesOf = (field: Field | undefined): Buffer => (field instanceof Buffer ? field : Buffer.alloc(0));
const numberOf = (field: Field | undefined): bigint => (typeof field === 'bigint' ? field : 0n);
const bytesIn = (message: Buffer, at: number): Buffer[] => (readFields(message).get(at) ?? []).map(bytesOf);

/** The fields of one protobuf message by number: varints and fixed widths as bigint, the rest as bytes. */
function readFields(message: Buffer): ReadonlyMap<number, readonly Field[]> {
  const fields = new Map<number, Field[]>();
  let at = 0;
  function varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  while (at < message.length) {
    const tag = Number(varint());
    const wire = tag & 7;
    let field: Field;
    if (wire === 0) field = varint();
    else if (wire === 1) [field, at] = [message.readBigUInt64LE(at), at + 8];
    else if (wire === 5) [field, at] = [BigInt(message.readUInt32LE(at)), at + 4];
    else {
      const length = Number(varint());
      [field, at] = [message.subarray(at, at + length), at + length];
    }
    const number = tag >>> 3;
    fields.set(number, [...(fields.get(number) ?? []), field]);
  }
  return fields;
}
