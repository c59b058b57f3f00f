/** Headers of a record that goes on to another topic, as they are; what no producer could write is left out. */
export function goingOn(headers: Readonly<Record<string, unknown>> | undefined): Record<string, string | Buffer> {
  const kept: Record<string, string | Buffer> = {};
  for (const [name, header] of Object.entries(headers ?? {})) {
    if (typeof header === 'string' || Buffer.isBuffer(header)) kept[name] = header;
  }
  return kept;
}
