/** The environments of PostHog (spec/ingestion.md 1.1). In `test` and `dev` some settings have another default. */
export type Environment = 'test' | 'dev' | 'production';

/** By NODE_ENV, in any case and by its beginning; where that says neither, a DEBUG that is true means `dev`. */
export function environmentOf(nodeEnv: string | undefined, debug: string | undefined): Environment {
  if (/^test/i.test(nodeEnv ?? '')) return 'test';
  if (/^dev/i.test(nodeEnv ?? '')) return 'dev';
  return /^(y|yes|t|true|on|1)$/i.test(debug ?? '') ? 'dev' : 'production';
}
