import { afterEach, describe, expect, it } from 'vitest';
import { createPlugin } from '../../actors/plugin/index.ts';
import type { PluginJournalMessage } from '../../actors/plugin-journal/messages.ts';
import type { PluginAnswer } from '../../actors/plugin/messages.ts';
import type { PluginEvent } from '../../src/domain/event.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { createActorSystem } from '../../src/runtime/system.ts';
import { createSandbox } from '../../src/sandbox/host.ts';
import type { Sandbox } from '../../src/sandbox/port.ts';
import { probe } from '../kit/actors.ts';

/** The plugin actor over the real sandbox: what one tenant's code does to another's events. */
const event = (name: string): PluginEvent => ({ uuid: name, event: name, distinct_id: 'd', team_id: 2, now: '', ip: null, properties: {} });
const HOSTILE = `export async function processEvent(event) {
  if (event.event.startsWith('bomb')) return new Array(2 ** 30).fill({});
  if (event.event.startsWith('loop')) for (;;);
  if (event.event.startsWith('never')) return new Promise(() => {});
  event.properties.hostile = true; return event }`;
const KIND = 'export function processEvent(event) { event.properties.kind = true; return event }';

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

function setUp(offencesCount: number) {
  const sandbox: Sandbox = createSandbox({ clock: systemClock, memoryLimitMb: 32 });
  const system = createActorSystem({ name: 'test', clock: systemClock, random: systemRandom });
  open.push(() => sandbox.close());
  const start = (pluginConfigId: number, code: string) => {
    const spec = createPlugin({
      sandbox,
      clock: systemClock,
      journal: probe<PluginJournalMessage>(),
      instanceId: 'test',
      plugin: { pluginConfigId, pluginId: 1, logLevel: undefined, teamId: 2, name: 'p', config: {}, files: { 'index.js': code } },
      options: { deadlineMs: 400, batchCount: 20, lingerMs: 1, offences: { count: offencesCount, periodMs: 60_000 }, quarantineMs: 60_000 },
      strategy: { directive: 'escalate' },
    });
    const ref = system.spawn(spec, `plugin-${String(pluginConfigId)}`);
    const answers = probe<PluginAnswer>();
    const tell = (ticket: number, name: string) =>
      expect(ref.tell({ type: 'invoke', ticket, event: event(name), replyTo: answers })).toBe('accepted');
    open.unshift(() => system.stop(ref));
    return { tell, answers };
  };
  return { start };
}
const tickets = ({ messages }: { messages: readonly PluginAnswer[] }): number[] => messages.map(({ ticket }) => ticket);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

describe('plugin actors over the real sandbox', () => {
  it('G1, G2, G4, G5: three attacks among 60 events fail three events, and not one of the neighbour', async () => {
    const { start } = setUp(20);
    const hostile = start(1, HOSTILE);
    const kind = start(2, KIND);
    const attacks = new Map([
      [7, 'loop'],
      [23, 'never'],
      [42, 'bomb'],
    ]);
    for (const ticket of upTo(60)) {
      hostile.tell(ticket, attacks.get(ticket) ?? 'plain');
      kind.tell(ticket, 'plain');
    }
    // the neighbour keeps working while the others are run alone and the child dies under it
    let next = 60;
    const feeding = setInterval(() => kind.tell((next += 1), 'plain'), 5);
    await expect.poll(() => hostile.answers.messages.length, { timeout: 30_000 }).toBe(60);
    clearInterval(feeding);
    await expect.poll(() => kind.answers.messages.length, { timeout: 10_000 }).toBe(next);
    expect(tickets(hostile.answers)).toEqual(upTo(60));
    expect(tickets(kind.answers)).toEqual(upTo(next));
    expect(hostile.answers.messages.filter(({ result }) => result.type !== 'event').map(({ ticket }) => ticket)).toEqual([7, 23, 42]);
    expect(kind.answers.messages.every(({ result }) => result.type === 'event' && result.event.properties['kind'] === true)).toBe(true);
  });

  it('G6: a plugin that is nothing but attacks is quarantined, and its events pass without it', async () => {
    const { start } = setUp(2);
    const hostile = start(1, HOSTILE);
    for (const ticket of upTo(30)) hostile.tell(ticket, 'loop');
    await expect.poll(() => hostile.answers.messages.length, { timeout: 30_000 }).toBe(30);
    const types = hostile.answers.messages.map(({ result }) => result.type);
    expect(types.slice(0, 2)).toEqual(['failed', 'failed']);
    expect(new Set(types.slice(2))).toEqual(new Set(['quarantined']));
  });
});
