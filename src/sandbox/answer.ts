import type { ConsoleLine, InvocationResult, PluginFault } from './port.ts';
import type { BatchAnswer, SetupAnswer } from './protocol.ts';
import type { Json, PluginEvent } from '../domain/event.ts';

export interface CheckedAnswer {
  readonly results: readonly InvocationResult[];
  readonly console: readonly ConsoleLine[];
  readonly consoleLost: number;
  readonly succeededMs: number;
  readonly failedMs: number;
}

export interface CheckedSetup {
  readonly console: readonly ConsoleLine[];
  readonly consoleLost: number;
  readonly setupMs: number | undefined;
  readonly fault: PluginFault | undefined;
}

/**
 * Parses and checks what came out of an isolate. The prelude made the outline, the plugin the insides, and somebody who
 * broke out could have made all of it: nothing is believed. @throws Error when the outline itself is wrong, which no
 * plugin can cause from inside.
 */
export function readAnswer(text: string, expectedCount: number): CheckedAnswer {
  const answer = JSON.parse(text) as BatchAnswer;
  if (!Array.isArray(answer.results) || answer.results.length !== expectedCount)
    throw new Error('the sandbox answered with the wrong number of results');
  return {
    results: answer.results.map(readResult),
    ...readConsole(answer),
    succeededMs: duration(answer.succeededMs) ?? 0,
    failedMs: duration(answer.failedMs) ?? 0,
  };
}

/** The same for setupPlugin. */
export function readSetup(text: string): CheckedSetup {
  const answer = JSON.parse(text) as SetupAnswer;
  const { failed } = answer;
  const fault = failed === undefined ? undefined : (readFault(failed.error) ?? { name: 'Error', message: String(failed.message) });
  return { ...readConsole(answer), setupMs: duration(answer.setupMs), fault };
}

function readConsole({ console: lines, consoleLost }: BatchAnswer | SetupAnswer) {
  return { console: lines.map(([level, line]) => ({ level: String(level), text: String(line) })), consoleLost: duration(consoleLost) ?? 0 };
}

/** A number that can be added up. */
const duration = (raw: unknown): number | undefined => (typeof raw === 'number' && raw >= 0 && raw < 1e9 ? raw : undefined);

/** Text, or nothing of it. */
export function readFault(raw: unknown): PluginFault | undefined {
  if (!isJson(raw)) return undefined;
  const { name, message, stack } = raw;
  return { name: String(name), message: String(message), stack: typeof stack === 'string' ? stack : undefined };
}

function readResult(raw: unknown): InvocationResult {
  const result = isJson(raw) ? raw : {};
  switch (result['type']) {
    case 'dropped':
      return { type: 'dropped' };
    case 'event': {
      const event = readEvent(result['event']);
      return event === undefined
        ? { type: 'failed', message: 'the plugin returned something that is no event', event: undefined }
        : { type: 'event', event };
    }
    case 'failed':
      return {
        type: 'failed',
        message: String(result['message']),
        event: readEvent(result['event']),
        fault: readFault(result['error']),
      };
    default:
      throw new Error('the sandbox answered with an unknown result');
  }
}

/** The fields that later stages use without asking: strings where they are strings, an object where they look inside. */
function readEvent(raw: unknown): PluginEvent | undefined {
  if (!isJson(raw)) return undefined;
  // PostHog turns a number into text later (section 2.3); here is later
  if (typeof raw['distinct_id'] === 'number') raw['distinct_id'] = String(raw['distinct_id']);
  raw['properties'] ??= {};
  const whole =
    typeof raw['event'] === 'string' &&
    typeof raw['distinct_id'] === 'string' &&
    typeof raw['uuid'] === 'string' &&
    isJson(raw['properties']);
  return whole ? (raw as PluginEvent) : undefined;
}

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
