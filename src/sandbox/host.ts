import {
  SandboxError,
  type ConsoleLine,
  type InvocationResult,
  type LoadResult,
  type PluginListener,
  type PluginSource,
  type Sandbox,
} from './port.ts';
import { readAnswer, readFault, readSetup } from './answer.ts';
import { spawnChild, type Child } from './process.ts';
import type { FromSandbox, ToSandbox } from './protocol.ts';
import type { PluginEvent } from '../domain/event.ts';
import { state } from '../observe/facts.ts';
import type { Clock, Timer } from '../runtime/clock.ts';

export interface SandboxOptions {
  readonly clock: Clock;
  /** Heap of ONE plugin's isolate in MiB, at least 8. Raising it lets more bombs go further before they are stopped. @defaultValue 64 */
  readonly memoryLimitMb?: number;
  /** Time the child process has to become ready. @defaultValue 10_000 */
  readonly startTimeoutMs?: number;
  /** Time a plugin's top level and its setupPlugin have. @defaultValue 5_000 */
  readonly loadTimeoutMs?: number;
  /** Patience beyond a deadline, spent twice: before the isolate is thrown away, and before the child is killed. @defaultValue 250 */
  readonly graceMs?: number;
  /** Greatest JSON text of one returned event, in UTF-16 units. @defaultValue 4 Mi */
  readonly maxResultChars?: number;
  /** Console lines kept of one batch; more are counted. @defaultValue 100 */
  readonly maxConsoleLines?: number;
  /** Port of the internal MMDB service, for `meta.geoip`. @defaultValue undefined: lookups say that there is no database */
  readonly geoipPort?: number | undefined;
}

/**
 * The sandbox seen from the runtime: starts the child on the first load, speaks the protocol, keeps the deadlines.
 *
 *     no child ──load──▶ starting ──ready──▶ running ──▶ ended (deadline, crash, close) ──load──▶ starting …
 *
 * I1 every request ends exactly once: answered, or rejected with SandboxError; the child's end rejects all of them.
 * I2 every request has a deadline HERE, on our clock; nothing the child does or fails to do can hold a caller longer
 *    than deadline + 2 graces.
 * I3 an answer to a request that is not open is a bug of the child: the child is killed.
 * I4 a message of an ended child changes nothing.
 * I5 after close no child runs and every call rejects.
 */
export function createSandbox(options: SandboxOptions): Sandbox {
  const { clock, memoryLimitMb = 64, startTimeoutMs = 10_000, loadTimeoutMs = 5_000, graceMs = 250 } = options;
  const { maxResultChars = 4 * 1024 * 1024, maxConsoleLines = 100, geoipPort } = options;
  /** Who hears what each isolate says. */
  const listeners = new Map<number, PluginListener>();
  let current: Running | undefined;
  let closed = false;

  interface Request {
    readonly isolateId: number;
    resolve(answer: FromSandbox): void;
    reject(error: SandboxError): void;
    timer: Timer | undefined;
  }
  interface Running {
    readonly child: Child;
    readonly ready: Promise<void>;
    readonly open: Map<number, Request>;
    readonly loaded: Set<number>;
    /** Set when we kill it ourselves: whose fault that was and why. */
    verdict: { readonly reason: string; readonly culprit: number | undefined } | undefined;
  }
  let lastRequest = 0;

  function start(): Running {
    const startedMs = clock.monotonic();
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
    ready.catch(() => undefined); // its callers hear of it; there may be none left
    const open: Running['open'] = new Map();
    const child = spawnChild({ memoryLimitMb, maxResultChars, maxConsoleLines, geoipPort }, { onMessage, onEnd });
    const running: Running = { child, ready, open, loaded: new Set(), verdict: undefined };
    const slowStart = clock.after(startTimeoutMs, () => kill(running, `not ready within ${startTimeoutMs} ms`, undefined));

    function onMessage(message: FromSandbox): void {
      if (running.verdict !== undefined) return; // I4
      if (message.type === 'ready') {
        slowStart.cancel();
        state('sandbox-started', { pid: child.pid, durationMs: clock.monotonic() - startedMs });
        resolve();
        return;
      }
      const request = open.get(message.request);
      if (request === undefined) {
        kill(running, `answered request ${message.request}, which is not open`, undefined); // I3
        return;
      }
      open.delete(message.request);
      request.timer?.cancel();
      request.resolve(message);
    }
    function onEnd(reason: string, culprit: number | undefined): void {
      slowStart.cancel();
      if (current === running) current = undefined;
      const verdict = running.verdict ?? { reason, culprit };
      running.verdict = verdict;
      state('sandbox-ended', { pid: child.pid, ...verdict });
      const errorFor = (id: number | undefined): SandboxError =>
        new SandboxError(
          verdict.reason === OVERDUE && id === verdict.culprit ? 'deadline' : 'died',
          `the sandbox ended: ${verdict.reason}`,
          { culprit: verdict.culprit },
        );
      reject(errorFor(undefined));
      for (const request of open.values()) {
        request.timer?.cancel();
        request.reject(errorFor(request.isolateId));
      }
      open.clear();
    }
    return running;
  }

  function kill(running: Running, reason: string, culprit: number | undefined): void {
    running.verdict ??= { reason, culprit };
    if (current === running) current = undefined; // the next load need not wait for the burial
    running.child.kill();
  }

  /** I1, I2. */
  function request(running: Running, isolateId: number, deadlineMs: number, make: (request: number) => ToSandbox): Promise<FromSandbox> {
    const id = (lastRequest += 1);
    return new Promise((resolve, reject) => {
      const entry: Request = { isolateId, resolve, reject, timer: undefined };
      running.open.set(id, entry);
      entry.timer = clock.after(deadlineMs + graceMs, () => {
        running.child.send({ type: 'abandon', request: id, isolateId });
        entry.timer = clock.after(graceMs, () => kill(running, OVERDUE, isolateId));
      });
      running.child.send(make(id));
    });
  }

  /** Turns the two limit answers into the errors of the port; hands on every other answer. */
  function orThrow(running: Running, isolateId: number, answer: FromSandbox): FromSandbox {
    if (answer.type !== 'overdue' && answer.type !== 'collapsed') return answer;
    running.loaded.delete(isolateId);
    const culprit = isolateId;
    throw answer.type === 'overdue'
      ? new SandboxError('deadline', 'the plugin was stopped at its deadline', { culprit })
      : new SandboxError('died', `the plugin's isolate collapsed: ${answer.message}`, { culprit });
  }

  return {
    async load(plugin: PluginSource, listener?: PluginListener): Promise<LoadResult> {
      if (closed) throw new SandboxError('died', 'the sandbox is closed');
      const running = (current ??= start());
      await running.ready;
      const isolateId = plugin.isolateId ?? plugin.pluginConfigId;
      running.loaded.delete(isolateId);
      const answer = orThrow(
        running,
        isolateId,
        await request(running, isolateId, loadTimeoutMs, (id) => ({
          type: 'load',
          request: id,
          isolateId,
          config: JSON.stringify(plugin.config),
          name: plugin.name,
          files: plugin.files,
          timeoutMs: loadTimeoutMs,
        })),
      );
      if (answer.type !== 'refused' && answer.type !== 'loaded') throw strange(running, answer);
      const setup = answer.setup === undefined ? undefined : checked(running, () => readSetup(answer.setup ?? ''));
      if (setup !== undefined) tellConsole(listener, setup);
      if (answer.type === 'refused') {
        const { fault, setupMs = 0 } = setup ?? {};
        return { type: 'refused', message: answer.message, setup: fault === undefined ? undefined : { fault, setupMs } };
      }
      running.loaded.add(isolateId);
      if (listener !== undefined) listeners.set(isolateId, listener);
      return { type: 'loaded', methods: answer.methods, imports: answer.imports, setupMs: setup?.setupMs };
    },

    async invoke(isolateId: number, events: readonly PluginEvent[], deadlineMs: number): Promise<readonly InvocationResult[]> {
      const running = current;
      if (running === undefined || !running.loaded.has(isolateId)) throw notLoaded(isolateId);
      const text = JSON.stringify(events);
      const answer = orThrow(
        running,
        isolateId,
        await request(running, isolateId, deadlineMs, (id) => ({
          type: 'invoke',
          request: id,
          isolateId,
          events: text,
          timeoutMs: deadlineMs,
        })),
      );
      if (answer.type === 'not-loaded') throw notLoaded(isolateId);
      if (answer.type !== 'invoked') throw strange(running, answer);
      const read = checked(running, () => readAnswer(answer.answer, events.length));
      const listener = listeners.get(isolateId);
      tellConsole(listener, read);
      listener?.callsTimed?.(read.succeededMs, read.failedMs);
      const rejection = readFault(answer.rejection);
      if (rejection !== undefined) listener?.rejectionLeft?.(rejection);
      return read.results;
    },

    async unload(isolateId: number): Promise<void> {
      listeners.delete(isolateId);
      const running = current;
      if (running === undefined || !running.loaded.delete(isolateId)) return;
      await request(running, isolateId, graceMs, (id) => ({ type: 'unload', request: id, isolateId }));
    },

    pid: () => current?.child.pid,

    async close(): Promise<void> {
      closed = true;
      const running = current;
      if (running === undefined) return;
      kill(running, 'closed', undefined);
      await running.child.ended;
    },
  };

  function checked<T>(running: Running, read: () => T): T {
    try {
      return read();
    } catch (error) {
      kill(running, 'its answer cannot be read', undefined);
      throw new SandboxError('died', 'the answer of the sandbox cannot be read', { cause: error });
    }
  }

  function strange(running: Running, answer: FromSandbox): SandboxError {
    kill(running, `unexpected answer '${answer.type}'`, undefined);
    return new SandboxError('died', `unexpected answer '${answer.type}'`);
  }
}

function tellConsole(
  listener: PluginListener | undefined,
  said: { readonly console: readonly ConsoleLine[]; readonly consoleLost: number },
): void {
  if (said.console.length > 0 || said.consoleLost > 0) listener?.consoleWritten?.(said.console, said.consoleLost);
}

const OVERDUE = 'a plugin could not be stopped at its deadline';
const notLoaded = (isolateId: number): SandboxError => new SandboxError('not-loaded', `isolate ${isolateId} is not loaded`);
