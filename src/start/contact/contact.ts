import type { Clock } from '../../runtime/clock.ts';
import { diagnose, type Diagnosis, type Remedy } from './diagnosis.ts';
import { listenerSpeaks, type Address } from './listener-probe.ts';

/** An outside system, as the settings tell where and how to find it. */
export interface ContactTarget {
  /** With its address, as the subject of a sentence: `Kafka at a:9092, b:9092`. */
  readonly what: string;
  /** The settings to look at, by what is wrong. What a system does not have (client certificates) is left out. */
  readonly settings: Readonly<Partial<Record<Remedy, string>>> & { readonly address: string };
  /** Where it listens; none for a unix socket. */
  readonly addresses: readonly Address[];
  readonly usesTls: boolean;
  /** What it means that it takes connections, speaks as it is spoken to, and hangs up. */
  readonly hangsUp?: { readonly headline: string; readonly remedy: Remedy };
}

export interface ContactOptions {
  readonly clock: Clock;
  /** Bound of all attempts together. */
  readonly limitMs: number;
}

const RETRY_MS = 250;
/** A server that hangs up may be on its way up or down, though more often it never wants to hear from us: it is asked so often. */
const HANG_UPS_COUNT = 8;

/** A first contact that failed; its message is meant for an operator. */
export class ContactError extends Error {
  /** What was seen, without the system and the settings. */
  readonly reason: string;
  /** Waiting may cure it: nobody answered. */
  readonly passes: boolean;
  constructor(message: string, { reason, passes, cause }: { readonly reason: string; readonly passes: boolean; readonly cause: Error }) {
    super(message, { cause });
    this.name = 'ContactError';
    this.reason = reason;
    this.passes = passes;
  }
}

/**
 * The first contact with an outside system. One that cannot be reached is tried again until `limitMs` have passed, since servers
 * are often started together; what no waiting cures (a certificate, a password, a schema) ends at once.
 * @throws ContactError of one sentence for people: the system, its address, what was seen there, and the settings to correct.
 */
export async function contact<T>(target: ContactTarget, { clock, limitMs }: ContactOptions, attempt: () => Promise<T>): Promise<T> {
  const deadline = clock.monotonic() + limitMs;
  let last: Error | undefined;
  let hangUps = 0;
  for (;;) {
    const outcome = await within(clock, deadline, attempt());
    if (outcome.type === 'done') return outcome.result;
    if (outcome.type === 'late')
      throw refusal(target, await explain(target, last), last ?? new Error(`it did not answer within ${limitMs} ms`));
    last = outcome.error;
    const diagnosis = await explain(target, last);
    if (diagnosis.kind === 'cut') hangUps++;
    const mayPass = diagnosis.kind === 'unreachable' || (diagnosis.kind === 'cut' && hangUps < HANG_UPS_COUNT);
    if (!mayPass || clock.monotonic() + RETRY_MS >= deadline) throw refusal(target, diagnosis, last);
    await new Promise<void>((resolve) => void clock.after(RETRY_MS, resolve));
  }
}

/** What comes after the first contact and takes as long as it takes (a schema): one attempt, and the same words when it fails. */
export async function explained<T>(target: ContactTarget, attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (error) {
    const thrown = asError(error);
    throw refusal(target, await explain(target, thrown), thrown);
  }
}

type Outcome<T> =
  { readonly type: 'done'; readonly result: T } | { readonly type: 'failed'; readonly error: Error } | { readonly type: 'late' };

async function within<T>(clock: Clock, deadline: number, work: Promise<T>): Promise<Outcome<T>> {
  const late = Promise.withResolvers<Outcome<T>>();
  const timer = clock.after(Math.max(0, deadline - clock.monotonic()), () => late.resolve({ type: 'late' }));
  const done = work.then<Outcome<T>, Outcome<T>>(
    (result) => ({ type: 'done', result }),
    (error: unknown) => ({ type: 'failed', error: asError(error) }),
  );
  try {
    return await Promise.race([done, late.promise]);
  } finally {
    timer.cancel();
  }
}

/**
 * What the error says; where it says no more than that the connection was cut or made no sense, what the listener itself shows:
 * a client that speaks TLS to a plain port, or the other way round, sees exactly that.
 */
async function explain({ addresses, usesTls, hangsUp }: ContactTarget, error: Error | undefined): Promise<Diagnosis> {
  const said = error === undefined ? { kind: 'unreachable' as const } : diagnose(error);
  if (said.kind !== 'unknown' && said.kind !== 'cut') return said;
  for (const address of addresses) {
    const speaks = await listenerSpeaks(address);
    if (speaks === 'tls' && !usesTls) {
      return { kind: 'encryption', headline: `the port speaks TLS, and the settings ask for a connection without`, remedy: 'encryption' };
    }
    if (speaks === 'plain' && usesTls) {
      return { kind: 'encryption', headline: `the port does not speak TLS, and the settings ask for it`, remedy: 'encryption' };
    }
  }
  return said.kind === 'cut' ? { ...said, ...hangsUp } : said;
}

function refusal({ what, settings }: ContactTarget, { kind, headline, remedy = 'address' }: Diagnosis, error: Error): ContactError {
  const said = error.message.trim().replace(/\.$/, '');
  const reason = headline === undefined ? said : `${headline} (${said})`;
  const message = `${what} cannot be used: ${reason}. Put it right there, or correct ${settings[remedy] ?? settings.address}.`;
  return new ContactError(message, { reason, passes: kind === 'unreachable' || kind === 'cut', cause: error });
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
