/**
 * Addresses that PostHog's deployments give in parts (spec/ingestion.md 8): POSTHOG_DB_* when DATABASE_URL is not set, and
 * POSTHOG_REDIS_* over REDIS_URL. Returns the addresses that came out, by variable name.
 */
export function composeAddresses(env: Readonly<Record<string, string | undefined>>): ReadonlyMap<string, string> {
  const part = (name: string, fallback: string): string => (env[name] === undefined || env[name] === '' ? fallback : env[name]);
  const composed = new Map<string, string>();

  const database = part('POSTHOG_DB_NAME', '');
  if (database !== '' && part('DATABASE_URL', '') === '') {
    const password = part('POSTHOG_DB_PASSWORD', '');
    const login = encodeURIComponent(part('POSTHOG_DB_USER', 'postgres')) + (password === '' ? '' : `:${encodeURIComponent(password)}`);
    const place = `${part('POSTHOG_POSTGRES_HOST', 'localhost')}:${part('POSTHOG_POSTGRES_PORT', '5432')}`;
    composed.set('DATABASE_URL', `postgres://${login}@${place}/${encodeURIComponent(database)}`);
  }

  const redisHost = part('POSTHOG_REDIS_HOST', '');
  if (redisHost !== '') {
    const password = part('POSTHOG_REDIS_PASSWORD', '');
    composed.set(
      'REDIS_URL',
      `redis://${password === '' ? '' : `:${encodeURIComponent(password)}@`}${redisHost}:${part('POSTHOG_REDIS_PORT', '6379')}`,
    );
  }
  return composed;
}
