import { Session } from 'node:inspector/promises';
import type { Clock, Timer } from '../runtime/clock.ts';

/** Which profile to take, and how fine (HT-3). */
export type ProfileRequest =
  | { readonly type: 'cpu'; readonly seconds: number; /** Microseconds between samples. */ readonly interval: number }
  | {
      readonly type: 'heap';
      readonly seconds: number;
      /** Bytes allocated between samples, on average. */
      readonly interval: number;
      /** Frames of a stack. */
      readonly depth: number;
    };

/** Profiles of this process by V8's own inspector, one at a time: two would measure each other. */
export interface Profiler {
  /** Resolves after the request's seconds with the profile as JSON text, or at once with undefined while another one is taken. */
  take(request: ProfileRequest): Promise<string | undefined>;
  /** Ends the one that is being taken: it is answered with what it has. */
  stop(): void;
}

export function createProfiler({ clock }: { readonly clock: Clock }): Profiler {
  let current: { readonly timer: Timer; readonly end: () => void } | undefined;
  let busy = false;

  function wait(seconds: number): Promise<void> {
    return new Promise((end) => {
      current = { timer: clock.after(seconds * 1_000, end), end };
    });
  }

  async function measure(session: Session, request: ProfileRequest): Promise<object> {
    if (request.type === 'cpu') {
      await session.post('Profiler.enable');
      await session.post('Profiler.setSamplingInterval', { interval: request.interval });
      await session.post('Profiler.start');
      await wait(request.seconds);
      return (await session.post('Profiler.stop')).profile;
    }
    await session.post('HeapProfiler.startSampling', { samplingInterval: request.interval, stackDepth: request.depth });
    await wait(request.seconds);
    return (await session.post('HeapProfiler.stopSampling')).profile;
  }

  return {
    async take(request) {
      if (busy) return undefined;
      busy = true;
      const session = new Session();
      try {
        session.connect();
        return JSON.stringify(await measure(session, request));
      } finally {
        session.disconnect();
        current = undefined;
        busy = false;
      }
    },
    stop() {
      current?.timer.cancel();
      current?.end();
    },
  };
}

/** A parameter of the query: what it may be, and what it is when absent. */
interface Parameter {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  readonly default: number;
}
const SECONDS: Parameter = { name: 'seconds', min: 1, max: 300, default: 30 };
const CPU_INTERVAL: Parameter = { name: 'interval', min: 50, max: 1_000_000, default: 1_000 };
const HEAP_INTERVAL: Parameter = { name: 'interval', min: 1_024, max: 1 << 30, default: 524_288 };
const HEAP_DEPTH: Parameter = { name: 'depth', min: 1, max: 128, default: 16 };
/** V8's samplers of lines and of callers: the inspector has one, which gives both. */
const CPU_MODE: Parameter = { name: 'mode', min: 0, max: 1, default: 0 };

/** Reads `/_profile/<type>?…`. Undefined: there is no such type (404). A text: what is wrong with a parameter (400). */
export function readProfileRequest(type: string, query: URLSearchParams): ProfileRequest | string | undefined {
  if (type !== 'cpu' && type !== 'heap') return undefined;
  const values = new Map<Parameter, number>();
  for (const parameter of type === 'cpu' ? [SECONDS, CPU_INTERVAL, CPU_MODE] : [SECONDS, HEAP_INTERVAL, HEAP_DEPTH]) {
    const text = query.get(parameter.name) ?? '';
    const value = text === '' ? parameter.default : Number(text);
    if (!Number.isInteger(value) || value < parameter.min || value > parameter.max)
      return `${parameter.name} is a whole number from ${parameter.min} to ${parameter.max}`;
    values.set(parameter, value);
  }
  const of = (parameter: Parameter): number => values.get(parameter) ?? parameter.default;
  return type === 'cpu'
    ? { type, seconds: of(SECONDS), interval: of(CPU_INTERVAL) }
    : { type, seconds: of(SECONDS), interval: of(HEAP_INTERVAL), depth: of(HEAP_DEPTH) };
}
