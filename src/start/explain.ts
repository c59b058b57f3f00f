/** The message for a person, with what led to it; the stack only where the error is not one of ours that says what to do. */
export function explain(error: Error): string {
  const cause =
    error.cause instanceof Error && !error.message.includes(error.cause.message.trim()) ? `\n  because: ${error.cause.message}` : '';
  const ours = [
    'ConfigError',
    'ContactError',
    'PostgresError',
    'ClickHouseError',
    'ProduceError',
    'StateStoreError',
    'Error',
    'AggregateError',
  ].includes(error.name);
  return ours ? `${error.message}${cause}` : (error.stack ?? error.message);
}
