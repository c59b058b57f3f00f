import { EventEmitter } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { stopSignal, watchFailures } from '../../../src/start/signals.ts';

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

const lines: Facts['log-written'][] = [];
observe('log-written', (fact) => void lines.push(fact));
afterEach(() => void lines.splice(0));

it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('SH-1: %s asks for an orderly end, a second one ends at once', async (signal) => {
  const process = new FakeProcess();
  const asked = stopSignal(process);
  process.emit(signal);
  await asked;
  expect(process.exits).toEqual([]);
  process.emit('SIGTERM');
  expect(process.exits).toEqual([1]);
});

it('row 38: SIGHUP reloads where somebody has that use for it, and stops nothing', async () => {
  const process = new FakeProcess();
  let hangUps = 0;
  const asked = stopSignal(process, () => void hangUps++);
  process.emit('SIGHUP');
  process.emit('SIGHUP');
  expect([hangUps, process.exits]).toEqual([2, []]);
  process.emit('SIGTERM');
  await asked;
});

it('SH-3: an exception that nobody caught ends the process in order, a rejection is told and nothing else', () => {
  const process = new FakeProcess();
  const broken: Error[] = [];
  watchFailures(process, (error) => void broken.push(error));
  process.emit('unhandledRejection', new Error('lost promise'));
  process.emit('unhandledRejection', 'a text');
  expect(broken).toEqual([]);
  const error = new Error('lost throw');
  process.emit('uncaughtException', error);
  expect(broken).toEqual([error]);
  expect(lines.map(({ level, fields }) => [level, String(fields?.['error']).split('\n')[0]])).toEqual([
    ['error', 'Error: lost promise'],
    ['error', 'a text'],
    ['error', 'Error: lost throw'],
  ]);
});
