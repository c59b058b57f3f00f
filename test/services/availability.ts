import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Where a test run notes the services it had to do without, one JSON line each; the runner reads it at the end. */
const notes = join(import.meta.dirname, '../../.troupe/test/missing-services.jsonl');

export type Availability = { readonly available: true } | { readonly available: false; readonly reason: string };

export interface MissingService {
  readonly service: string;
  readonly reason: string;
}

/**
 * Asks whether a real service can be used by the tests of this file: `probe` resolves when it can and rejects with the
 * reason when not. A missing service is printed and noted, so that a skipped suite is never silent:
 *
 *     const kafka = await requireService('kafka', probeKafka);
 *     describe.skipIf(!kafka.available)('…', …);
 *
 * @throws Error when CI=true: there, a missing service is a failure.
 */
export async function requireService(service: string, probe: () => Promise<unknown>): Promise<Availability> {
  try {
    await probe();
    return { available: true };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (process.env['CI'] === 'true') throw new Error(`${service} must be available when CI=true: ${reason}`, { cause: error });
    mkdirSync(dirname(notes), { recursive: true });
    appendFileSync(notes, `${JSON.stringify({ service, reason } satisfies MissingService)}\n`);
    console.warn(`SKIPPED: ${service} is not available, so its tests do not run. ${reason}`);
    return { available: false, reason };
  }
}

/** The services noted as missing since the last {@link forgetMissingServices}, each once. */
export function missingServices(): readonly MissingService[] {
  if (!existsSync(notes)) return [];
  const lines = new Set(readFileSync(notes, 'utf8').split('\n').filter(Boolean));
  return [...lines].map((line) => JSON.parse(line) as MissingService);
}

/** Starts a new account; call it before a test run. */
export function forgetMissingServices(): void {
  rmSync(notes, { force: true });
}
