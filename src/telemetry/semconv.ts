/**
 * Names of span attributes, in this one file: the messaging conventions of OpenTelemetry are still in development (1.45) and have
 * been renamed before (`messaging.kafka.offset` was one of these). https://opentelemetry.io/docs/specs/semconv/messaging/kafka/
 *
 * Rooms state facts with the short names on the left of {@link ATTRIBUTE_BY_SHORT_NAME} or with full names; spans.ts puts them in the form of today.
 */
export const ATTRIBUTE_BY_SHORT_NAME: Readonly<Record<string, string>> = {
  system: 'messaging.system.name',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  topic: 'messaging.destination.name',
  partition: 'messaging.destination.partition.id',
  group: 'messaging.consumer.group.name',
  offset: 'kafka.offset',
  records: 'messaging.batch.message_count',
  table: 'db.collection.name',
  rows: 'db.operation.batch.size',
  teamId: 'troupe.team.id',
  pluginConfigId: 'troupe.plugin.config_id',
  outcome: 'troupe.outcome',
  reason: 'troupe.reason',
};

/** Attributes that are text by convention even where we hold a number. */
const TEXT_ATTRIBUTES: ReadonlySet<string> = new Set(['messaging.destination.partition.id']);

/** Names that conventions or we ourselves gave up, with the one of today. */
const RENAMED: Readonly<Record<string, string>> = {
  'messaging.system': 'messaging.system.name',
  'messaging.operation': 'messaging.operation.name',
  'messaging.kafka.offset': 'kafka.offset',
  'messaging.kafka.message.offset': 'kafka.offset',
  'messaging.kafka.destination.partition': 'messaging.destination.partition.id',
  'messaging.kafka.consumer.group': 'messaging.consumer.group.name',
};

/** Attributes under the names of today; the input is left alone. */
export function conventional(attributes: Readonly<Record<string, string | number | boolean>>): Record<string, string | number | boolean> {
  const named: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(attributes)) {
    const today = ATTRIBUTE_BY_SHORT_NAME[name] ?? RENAMED[name] ?? name;
    named[today] = TEXT_ATTRIBUTES.has(today) ? String(value) : value;
  }
  return named;
}
