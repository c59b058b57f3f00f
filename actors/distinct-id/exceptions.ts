/** Rule X-2: whoever makes stack traces readable gets a copy of an exception's row, before the row itself is told. */
import { eventJson } from '../../src/domain/output-json.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { Copied } from '../forwarder/messages.ts';
import { enter, taken, type Ctx, type Shared } from './asking.ts';
import type { MadeRows, Work } from './state.ts';

/** True: wait for the copies. At least once: a crash before the rows are durable copies them again. */
export function copyExceptions(shared: Shared, work: Work, { rows }: MadeRows, ctx: Ctx): boolean {
  const { exceptions } = shared.deps;
  if (exceptions === undefined || work.stage === 'copying') return false;
  for (const row of rows) {
    if (row.event !== '$exception') continue;
    const ticket = shared.nextTicket++;
    work.tickets.set(ticket, undefined);
    const message = { type: 'copy', ticket, topic: exceptions.topic, replyTo: ctx.self } as const;
    taken(exceptions.forwarder.tell({ ...message, key: Buffer.from(row.uuid), value: Buffer.from(eventJson(row)) }), 'the forwarder');
  }
  if (work.tickets.size === 0) return false;
  enter(work, 'copying', ctx);
  return true;
}

/** One that no topic can take is stored all the same: its trace stays as it came. */
export function copied({ result }: Copied): void {
  if (result === 'acknowledged') return;
  stateFact('log-written', {
    level: 'warn',
    message: 'An exception is too large for the topic of those to be made readable; it is stored as it is.',
  });
}
