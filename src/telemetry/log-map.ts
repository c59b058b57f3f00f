import { observe, type FactName, type Facts } from '../observe/facts.ts';
import type { Log, LogFields, LogLevel } from './log.ts';

interface Line {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
  /** Lines that differ in this are not repetitions of each other. Bounded: a kind, a table, a plugin; never an id of an event. Null: no line is one. */
  readonly repeatKey?: string | null;
}
type Mapping = { readonly [Name in FactName]?: (fact: Facts[Name]) => Line | undefined };

/** Who renews certificates does so earlier: what is taken with less than this left was not renewed. */
const CERTIFICATE_NOTICE_MS = 7 * 86_400_000;

/**
 * Facts that are worth a line. error: someone must act; warn: an objective is at risk; info: lifecycle; debug: per batch.
 * Facts that are not here are metrics or spans only; console output of plugins is left out because it may hold personal data.
 */
const MAPPING: Mapping = {
  'log-written': ({ level, message, fields = {} }) => ({ level, message, fields }),
  'event-ended': (fact) => ({ level: 'debug', message: 'Event ended without a row.', fields: fact }),
  'router-batch-read': (fact) => ({ level: 'debug', message: 'Batch read.', fields: fact }),
  // One line each for dozens of partitions at every rebalance says less than the generation's one line.
  'router-partition-assigned': (fact) => ({
    level: 'debug',
    message: 'Partition assigned.',
    fields: fact,
    repeatKey: `${fact.topic}-${fact.partition}`,
  }),
  'router-partition-revoked': (fact) => ({
    level: fact.unsettled > 0 ? 'info' : 'debug',
    message: 'Partition revoked.',
    fields: fact,
    repeatKey: `${fact.topic}-${fact.partition}`,
  }),
  'router-watermark-committed': (fact) => ({ level: 'debug', message: 'Watermark committed.', fields: fact }),
  'router-backpressure-changed': (fact) => ({
    // Credit is how the router always waits; a gap means that one key holds back a whole partition.
    level: fact.reason === 'gap' && fact.waiting ? 'warn' : 'debug',
    message: fact.waiting ? 'Partition waits.' : 'Partition goes on.',
    fields: fact,
    repeatKey: `${fact.topic}-${fact.partition}`,
  }),
  'person-flushed': (fact) => ({ level: 'debug', message: 'Persons flushed.', fields: fact }),
  'person-loaded': (fact) => ({ level: 'debug', message: 'Persons loaded.', fields: fact }),
  // PostHog Inc. would be told of the first one; Troupe tells nobody outside.
  'definitions-written': (fact) =>
    fact.firstTeams > 0
      ? { level: 'info', message: 'The first event of a team has come.', fields: { teams: fact.firstTeams } }
      : { level: 'debug', message: 'Names of events and properties written.', fields: fact },
  'definitions-lost': ({ count, reason, detail }) => ({
    level: reason === 'full' || reason === 'unavailable' ? 'warn' : 'error',
    message: 'Names of events and properties were not written.',
    fields: { count, reason, error: detail },
    repeatKey: reason,
  }),
  'postgres-connection-lost': ({ message }) => ({ level: 'warn', message: 'PostgreSQL connection lost.', fields: { error: message } }),
  'postgres-transaction-retried': (fact) => ({
    level: 'info',
    message: 'PostgreSQL transaction retried.',
    fields: fact,
    repeatKey: fact.statement,
  }),
  'embedded-postgres-ended': ({ lastWords }) => ({
    level: 'warn',
    message: 'The embedded PostgreSQL ended; it is started again.',
    fields: { error: lastWords },
  }),
  'clickhouse-block-stored': (fact) => ({ level: 'debug', message: 'Block stored.', fields: fact }),
  'clickhouse-insert-failed': (fact) => ({
    level: fact.kind === 'misconfigured' ? 'error' : 'warn',
    message: 'ClickHouse did not confirm an insert.',
    fields: fact,
    repeatKey: `${fact.table}-${fact.kind}`,
  }),
  'output-flight-landed': (fact) => ({ level: 'debug', message: 'Rows produced.', fields: fact }),
  'clickhouse-gap-filled': (fact) => ({ level: 'info', message: 'Fate of an unconfirmed block established.', fields: fact }),
  'plugin-batch-invoked': (fact) => ({ level: 'debug', message: 'Plugin called.', fields: fact }),
  'plugin-quarantined': (fact) => ({ level: 'warn', message: 'Plugin quarantined.', fields: fact, repeatKey: String(fact.pluginConfigId) }),
  'worker-started': (fact) => ({ level: 'info', message: 'A worker serves.', fields: fact, repeatKey: String(fact.slot) }),
  'worker-ended': (fact) => ({
    level: fact.isAsked ? 'info' : 'error',
    message: fact.isAsked ? 'A worker has ended.' : 'A worker died.',
    fields: fact,
    repeatKey: String(fact.slot),
  }),
  'http-server-drained': (fact) => ({
    level: fact.cutCount > 0 ? 'warn' : 'info',
    message: fact.cutCount > 0 ? 'Requests were cut off by the stop.' : 'No connection is open any more.',
    fields: fact,
    repeatKey: fact.name,
  }),
  'sandbox-started': (fact) => ({ level: 'info', message: 'Sandbox started.', fields: fact }),
  'sandbox-ended': (fact) => ({
    level: fact.reason === 'closed' ? 'info' : 'warn',
    message: 'Sandbox ended.',
    fields: fact,
    repeatKey: String(fact.culprit),
  }),
  'geoip-database-loaded': ({ source, databaseType, builtAtMs, bytes }) => ({
    level: 'info',
    message: 'GeoIP database loaded.',
    fields: { source, databaseType, built: new Date(builtAtMs).toISOString(), bytes },
  }),
  'geoip-database-refused': ({ source, message, keepsOld }) => ({
    level: 'warn',
    message: 'GeoIP database refused.',
    fields: { source, error: message, keepsOld },
  }),
  'router-keys-overflowed': ({ topic, teamId, records }) => ({
    level: 'debug',
    message: 'Records are too many of their key and go to the overflow topic.',
    fields: { topic, teamId, records },
  }),
  'forwarder-produced': ({ topic, redirected, copied }) => ({
    level: 'debug',
    message: 'Records were forwarded to another topic.',
    fields: { topic, redirected, copied },
  }),
  'dead-letter-produced': ({ reason, count, places: [first] }) => ({
    level: 'warn',
    message: 'Records dead-lettered.',
    fields: { reason, count, first },
    repeatKey: reason,
  }),
  'kafka-consumer-crashed': (fact) => ({
    level: 'error',
    message: 'Kafka consumer crashed.',
    fields: { groupId: fact.groupId, error: fact.message },
  }),
  'kafka-generation-changed': (fact) => ({ level: 'info', message: 'Consumer group has a new generation.', fields: fact }),
  'runtime-actor-crashed': ({ kind, path, code, message }) => ({
    level: 'error',
    message: 'Actor crashed.',
    fields: { kind, path, code, error: message },
    repeatKey: kind,
  }),
  'runtime-actor-restarted': (fact) => ({ level: 'warn', message: 'Actor restarted.', fields: fact, repeatKey: fact.kind }),
  'runtime-actor-quarantined': (fact) => ({ level: 'error', message: 'Actor quarantined.', fields: fact, repeatKey: fact.kind }),
  'runtime-message-dead-lettered': (fact) => ({
    level: 'warn',
    message: 'Message found no actor.',
    fields: fact,
    repeatKey: `${fact.kind}-${fact.reason}`,
  }),
  'state-store-unavailable': ({ operation, message }) => ({
    level: 'warn',
    message: 'State store unavailable.',
    fields: { operation, error: message },
  }),
  'capture-restrictions-stale': ({ type }) => ({
    level: 'warn',
    message: 'Event restrictions no longer apply: Redis has not confirmed them for too long.',
    fields: { type },
    repeatKey: type,
  }),
  'capture-restriction-malformed': ({ type, index, problem }) => ({
    level: 'warn',
    message: 'An event restriction cannot be read and is left out.',
    fields: { type, index, problem },
    repeatKey: `${type}-${index}`,
  }),
  'capture-allowance-unreadable': (fact) => ({
    level: 'warn',
    message: 'What a token has left is no whole number: it limits nothing.',
    fields: fact,
    repeatKey: `${fact.who}-${fact.resource}`,
  }),
  'capture-token-settings-malformed': (fact) => ({
    level: 'warn',
    message: 'A setting of a token cannot be read and does not hold.',
    fields: fact,
    repeatKey: `${fact.who}-${fact.field}`,
  }),
  // The one message that is not constant: scripts look for these words (spec/capture.md 16.2, row 8).
  'putmessage-batch-failed': ({ topic, entries, isRetryable, json }) => ({
    level: 'error',
    message: `Error handle: index ${entries} partition_id -1 retryable ${isRetryable} json ${json}`,
    fields: { topic },
  }),
  'putmessage-refused-late': ({ topic, bytes, message }) => ({
    level: 'error',
    message: 'A message that was answered is too large for Kafka.',
    fields: { topic, bytes, error: message },
    repeatKey: topic,
  }),
  'spill-replay-failed': ({ topic, code, message }) => ({
    level: 'warn',
    message: 'What was spilled cannot be sent yet.',
    fields: { topic, code, error: message },
    repeatKey: topic,
  }),
  'spill-diverted': ({ topic, code, message }) => ({
    level: 'warn',
    message: 'Kafka does not take records: they go through the spill.',
    fields: { topic, code, error: message },
    repeatKey: topic,
  }),
  'spill-returned': (fact) => ({
    level: 'info',
    message: 'Kafka takes records again: the spill is empty.',
    fields: fact,
    repeatKey: fact.topic,
  }),
  'spill-refused': ({ topic, records, code, message }) => ({
    level: 'error',
    message: 'The spill does not take records either.',
    fields: { topic, records, code, error: message },
    repeatKey: `${topic}-${code}`,
  }),
  'spill-adopted': (fact) => ({ level: 'info', message: 'What a dead process left in the spill was adopted.', fields: fact }),
  'spill-segment-kept': (fact) => ({ level: 'error', message: 'A spilled segment needs a person.', fields: fact, repeatKey: fact.path }),
  'http-certificate-taken': ({ server, subject, expiresAtMs, remainingMs }) => ({
    level: remainingMs > CERTIFICATE_NOTICE_MS ? 'info' : 'warn',
    message: 'Certificate in use.',
    fields: { server, subject, expires: new Date(expiresAtMs).toISOString() },
  }),
  'http-certificate-refused': ({ server, message }) => ({
    level: 'error',
    message: 'Changed certificate refused; the old one stays.',
    fields: { server, error: message },
  }),
  'http-handshake-failed': (fact) => ({ level: 'debug', message: 'TLS handshake came to nothing.', fields: fact }),
  'config-reloaded': ({ applied, ...fields }) =>
    applied.length > 0
      ? { level: 'info', message: 'Other settings are in force.', fields: { ...fields, applied }, repeatKey: String(fields.generation) }
      : { level: 'info', message: 'The settings were read again; none that can be reloaded is another.', fields },
  // At the new level, so that the line is seen; a silent log says nothing.
  'log-level-changed': ({ level: to, isConfigured }) =>
    to === 'silent' ? undefined : { level: to, message: 'The log has another level.', fields: { to, isConfigured }, repeatKey: null },
  'admin-request-answered': ({ who, ...fields }) =>
    fields.status === 401 || fields.status === 429
      ? { level: 'warn', message: 'The admin server let somebody not in.', fields, repeatKey: String(fields.status) }
      : { level: fields.method === 'GET' ? 'debug' : 'info', message: 'The admin server answered.', fields: { ...fields, who } },
  'config-refused': (fact) => ({ level: 'error', message: 'The settings were read again and refused; the old ones stay.', fields: fact }),
  'capture-plugin-failed': ({ plugin, why, message }) => ({
    level: 'warn',
    message: 'A plugin of capture failed.',
    fields: { plugin, why, error: message },
    repeatKey: `${plugin}-${why}`,
  }),
  'capture-plugin-suspended': (fact) => ({
    level: 'error',
    message: 'A plugin of capture fails again and again, and is left alone.',
    fields: fact,
    repeatKey: fact.plugin,
  }),
  'capture-plugin-resumed': (fact) => ({
    level: 'info',
    message: 'A plugin of capture works again.',
    fields: fact,
    repeatKey: fact.plugin,
  }),
  'capture-request-answered'({ client, isLogged, ...fields }) {
    // Refusals of clients are the clients' affair and counted; ours is what could not be accepted although it was right.
    const isOurs = fields.status >= 500;
    const message = isOurs ? 'Capture could not accept a request.' : 'Capture answered a request.';
    if (isLogged) return { level: isOurs ? 'warn' : 'info', message, fields: { ...fields, ...client }, repeatKey: null };
    if (isOurs) return { level: 'warn', message, fields, repeatKey: String(fields.status) };
    return { level: 'debug', message, fields: { ...fields, ...client } };
  },
};

/** Writes a line for each fact that has one. Returns the function that stops it. */
export function mapFactsToLog(log: Log): () => void {
  const ends = (Object.keys(MAPPING) as FactName[]).map((name) => listen(name, log));
  return () => {
    for (const end of ends) end();
  };
}

function listen<Name extends FactName>(name: Name, log: Log): () => void {
  const toLine: ((fact: Facts[Name]) => Line | undefined) | undefined = MAPPING[name];
  if (toLine === undefined) return () => undefined;
  return observe(name, (fact) => {
    const line = toLine(fact);
    if (line !== undefined) log.write(line.level, line.message, line.fields, line.repeatKey, name);
  });
}
