/**
 * Addresses that PostHog's deployments give in parts (spec/ingestion.md 8). The parts are no settings of their own: what comes
 * out is, and says which parts it was made of.
 */
export interface ComposedAddress {
  /** The setting whose value this is. */
  readonly name: string;
  readonly value: string;
  /** The parts that were given, in the order of {@link ADDRESS_PARTS}. */
  readonly parts: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

/** Every part, under the setting it belongs to. */
export const ADDRESS_PARTS = {
  DATABASE_URL: ['POSTHOG_DB_NAME', 'POSTHOG_DB_USER', 'POSTHOG_DB_PASSWORD', 'POSTHOG_POSTGRES_HOST', 'POSTHOG_POSTGRES_PORT'],
  REDIS_URL: ['INGESTION_REDIS_HOST', 'INGESTION_REDIS_PORT', 'POSTHOG_REDIS_HOST', 'POSTHOG_REDIS_PORT', 'POSTHOG_REDIS_PASSWORD'],
  CLICKHOUSE_HOST: ['CLICKHOUSE_OFFLINE_CLUSTER_HOST'],
} as const;

/**
 * What the parts in `env` make:
 * - DATABASE_URL from POSTHOG_DB_NAME and its companions, unless `isGiven` says that it has a value of its own;
 * - REDIS_URL from INGESTION_REDIS_HOST, else from POSTHOG_REDIS_HOST, each of which goes before REDIS_URL itself, as in PostHog;
 * - CLICKHOUSE_HOST from CLICKHOUSE_OFFLINE_CLUSTER_HOST, unless it has a value. PostHog prefers the offline replicas for reading;
 *   here stored offsets are asked where they are inserted, or a block that has not been replicated yet would be inserted again.
 */
export function composeAddresses(env: Env, isGiven: (name: string) => boolean): readonly ComposedAddress[] {
  const part = (name: string, fallback = ''): string => (env[name] === undefined || env[name] === '' ? fallback : env[name]);
  const composed: ComposedAddress[] = [];
  const compose = (name: keyof typeof ADDRESS_PARTS, value: string, among: RegExp): void => {
    composed.push({ name, value, parts: ADDRESS_PARTS[name].filter((one) => among.test(one) && part(one) !== '') });
  };

  const database = part('POSTHOG_DB_NAME');
  if (database !== '' && !isGiven('DATABASE_URL')) {
    const place = `${part('POSTHOG_POSTGRES_HOST', 'localhost')}:${part('POSTHOG_POSTGRES_PORT', '5432')}`;
    const login = loginOf(part('POSTHOG_DB_USER', 'postgres'), part('POSTHOG_DB_PASSWORD'));
    compose('DATABASE_URL', `postgres://${login}${place}/${encodeURIComponent(database)}`, /./);
  }

  const [own, shared] = [part('INGESTION_REDIS_HOST'), part('POSTHOG_REDIS_HOST')];
  if (own !== '') compose('REDIS_URL', redisUrl(own, part('INGESTION_REDIS_PORT', '6379'), ''), /^INGESTION/);
  else if (shared !== '') {
    compose('REDIS_URL', redisUrl(shared, part('POSTHOG_REDIS_PORT', '6379'), part('POSTHOG_REDIS_PASSWORD')), /^POSTHOG/);
  }

  const offline = part('CLICKHOUSE_OFFLINE_CLUSTER_HOST');
  if (offline !== '' && !isGiven('CLICKHOUSE_HOST')) compose('CLICKHOUSE_HOST', offline, /./);
  return composed;
}

/** PostHog hands the host to its client as an address: a whole URL is one, too. */
function redisUrl(host: string, port: string, password: string): string {
  return host.includes('://') ? host : `redis://${loginOf('', password)}${host}:${port}`;
}

function loginOf(user: string, password: string): string {
  if (user === '' && password === '') return '';
  return `${encodeURIComponent(user)}${password === '' ? '' : `:${encodeURIComponent(password)}`}@`;
}
