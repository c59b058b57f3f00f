/**
 * What both row writers do: gather rows, let one flight of them go at a time, settle what has landed. Where the rows go is their
 * {@link Carrier}'s: `clickhouse-writer` inserts blocks, `kafka-writer` produces records.
 *
 *     gathering ──full | age | drain──▶ sending ──every row has its end──▶ gathering (or sending, when more is due)
 *                                        │  ▲
 *                         outage, no     ▼  │ self:retry
 *                         fresh heartbeat waiting       (the same flight; what comes meanwhile is gathered behind it)
 *
 * Invariants
 * F1 One flight is under way at a time; the next one takes off when its every row has its end.
 * F2 Nothing is given up for an outage: the same flight goes on where it was, and credit upstream bounds what waits.
 * F3 After a stop nothing is begun: what is left comes again from Kafka.
 */
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec, StopReason } from '../../src/runtime/actor.ts';
import type { Random, Timer } from '../../src/runtime/clock.ts';
import { tellDrained, type Drains } from '../../src/runtime/drain.ts';
import { sleep } from '../../src/runtime/patience.ts';
import { tellSelf } from '../../src/runtime/tell-self.ts';
import { GivenUpError, NotFreshError, type Carrier, type Outage } from './carrier.ts';
import type { RowWriterMessage, RowWriterSelf } from './messages.ts';
import type { RowWriterDeps } from './options.ts';

export interface RowWriterParts<Flight> extends Pick<RowWriterDeps, 'clock' | 'options' | 'strategy'> {
  /** Of the actor. */
  readonly kind: string;
  readonly carrier: (random: Random) => Carrier<Flight>;
  /** Undefined for an error that is no outage of the place where rows go. */
  readonly outageOf: (error: unknown) => Outage | undefined;
  /** The longest wait between two tries. */
  readonly maxRetryMs: number;
}

export interface RowWriterState<Flight> {
  readonly carrier: Carrier<Flight>;
  flight: Flight | undefined;
  /** The attempt under way; it ends without ever rejecting. */
  attempt: Promise<unknown> | undefined;
  age: Timer | undefined;
  isDue: boolean;
  retryMs: number;
  isWaiting: boolean;
  isGivenUp: boolean;
  readonly drains: Drains;
}

type Message = RowWriterMessage | RowWriterSelf;
type Context = ActorContext<Message>;

const FIRST_RETRY_MS = 100;
const NOT_FRESH_RETRY_MS = 100;

export function createRowWriter<Flight>(parts: RowWriterParts<Flight>): ActorSpec<RowWriterState<Flight>, Message> {
  const { clock, options, outageOf } = parts;
  type State = RowWriterState<Flight>;

  function receive(state: State, message: Message, ctx: Context): State {
    const { carrier } = state;
    switch (message.type) {
      case 'store-events':
        for (const row of message.rows) carrier.takeEvent(row);
        break;
      case 'store-side-rows':
        carrier.takeSides(message.rows);
        break;
      case 'settle-after-side-rows':
        carrier.takeRowless(message.events);
        break;
      case 'drain':
        state.drains.push(message.replyTo);
        break;
      case 'self:age-reached':
        state.age = undefined;
        state.isDue = true;
        break;
      case 'self:flight-ended':
        ended(state, message.error, ctx);
        break;
      case 'self:retry':
        state.isWaiting = false;
        attempt(state, ctx);
        break;
    }
    launchIfDue(state, ctx);
    return state;
  }

  // ── launching ────────────────────────────────────────────────────────────────────────────────────────────────────

  function launchIfDue(state: State, ctx: Context): void {
    const { carrier } = state;
    if (state.flight === undefined) {
      if (!hasWork(state)) tellDrained(state.drains);
      else if (state.isDue || state.drains.length > 0 || carrier.isFull()) {
        state.flight = launch(state);
        attempt(state, ctx);
      }
    }
    if (state.age === undefined && !state.isDue && !carrier.isEmpty())
      state.age = ctx.after(options.maxAgeMs, { type: 'self:age-reached' });
  }

  function launch(state: State): Flight {
    state.age?.cancel();
    state.age = undefined;
    state.isDue = false;
    return state.carrier.takeOff();
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Begins to send the flight and returns; the end comes as a message. */
  function attempt(state: State, ctx: Context): void {
    const { flight } = state;
    if (flight === undefined || state.isGivenUp) return;
    const tell = (error: unknown): void => tellSelf(ctx, { type: 'self:flight-ended', error });
    state.attempt = send(state, flight).then(() => tell(undefined), tell);
  }

  function send(state: State, flight: Flight): Promise<void> {
    return state.carrier.fly(flight, () => state.isGivenUp); // F3
  }

  function ended(state: State, error: unknown, ctx: Context): void {
    if (state.flight === undefined) return; // the stop has finished it
    if (error === undefined) return finish(state, state.flight);
    const outage = outageOf(error);
    if (outage === undefined && !isOurs(error)) throw error instanceof Error ? error : new Error('the writer failed', { cause: error }); // a bug: begin anew from Kafka
    state.isWaiting = true;
    if (outage === undefined) ctx.after(NOT_FRESH_RETRY_MS, { type: 'self:retry' });
    else retryLater(state, outage, ctx);
  }

  function finish(state: State, flight: Flight): void {
    state.carrier.landed(flight);
    state.flight = undefined;
    state.retryMs = FIRST_RETRY_MS;
  }

  /** F2 */
  function retryLater(state: State, { level, message, fields }: Outage, ctx: Context): void {
    stateFact('log-written', { level, message, fields: { ...fields, retryMs: state.retryMs } });
    ctx.after(state.retryMs * (1 + ctx.random.next() * 0.2), { type: 'self:retry' });
    state.retryMs = Math.min(state.retryMs * 2, parts.maxRetryMs);
  }

  // ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what is left when asked to stop; after a crash the same rows come again from Kafka, so nothing is tried. */
  async function stopping(state: State, reason: StopReason): Promise<void> {
    const limit = clock.after(options.stopFlushMs ?? 10_000, () => {
      state.isGivenUp = true;
    });
    if (reason === 'restarted' || reason === 'budget-spent') state.isGivenUp = true;
    if (!state.isWaiting) await state.attempt;
    while (!state.isGivenUp && hasWork(state)) {
      state.flight ??= launch(state);
      try {
        await send(state, state.flight);
        finish(state, state.flight);
      } catch (error) {
        if (outageOf(error) === undefined && !isOurs(error)) throw error;
        await sleep(clock, FIRST_RETRY_MS);
      }
    }
    limit.cancel();
    if (!hasWork(state)) tellDrained(state.drains);
    state.isGivenUp = true;
  }

  return {
    kind: parts.kind,
    start: (ctx) => ({
      carrier: parts.carrier(ctx.random),
      flight: undefined,
      attempt: undefined,
      age: undefined,
      isDue: false,
      retryMs: FIRST_RETRY_MS,
      isWaiting: false,
      isGivenUp: false,
      drains: [],
    }),
    receive,
    stopping,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: parts.strategy,
    inspect: ({ carrier, flight, isWaiting }) => ({
      phase: flight === undefined ? 'gathering' : isWaiting ? 'waiting' : 'sending',
      ...carrier.inspect(flight),
    }),
  };
}

/** Something is on its way or waits for it. */
function hasWork<Flight>({ flight, carrier }: RowWriterState<Flight>): boolean {
  return flight !== undefined || !carrier.isEmpty();
}

/** To be waited out, and nobody's fault. */
function isOurs(error: unknown): boolean {
  return error instanceof NotFreshError || error instanceof GivenUpError;
}
