const BEGINNING = Buffer.from('{"body_data":');
const END = Buffer.from('}');

/**
 * The Kafka value of a body (spec/capture.md 16.2, row 4): `{"body_data":"…"}`, the bytes of the body as a JSON string. Bytes are not decoded, so
 * none is lost: as latin1 each is one character, of which JSON escapes only quotes, backslashes and controls; the others come back as they were.
 * A body that is UTF-8 makes JSON that is UTF-8.
 */
export function messageOf(body: Buffer): Buffer {
  return Buffer.concat([BEGINNING, Buffer.from(JSON.stringify(body.toString('latin1')), 'latin1'), END]);
}
