import { writeSync } from 'node:fs';
import { createGeoIpClient } from './geoip-client.ts';
import { IsolateError, loadIsolate, type PluginIsolate } from './isolate.ts';
import { readSource } from './source.ts';
import { CATASTROPHE_MARK, type ChildLimits, type FromSandbox, type ToSandbox } from './protocol.ts';

/**
 * Entry of the sandbox process: one isolate per plugin config, requests in, answers out. It holds no timer and no state
 * worth saving; the host may SIGKILL it at any moment, and it does the same to itself when an isolate can no longer be
 * contained (docs/measured.md). It ends with its parent: the channel closes.
 */
const limits = JSON.parse(process.argv[2] ?? '') as ChildLimits;
const geoip = createGeoIpClient(limits.geoipPort);
const isolates = new Map<number, PluginIsolate>();
/** Requests at work, and how to end each by force. */
const atWork = new Map<number, () => void>();

const answer = (message: FromSandbox): void => {
  process.send?.(message);
};
const die = (): void => {
  // not exit(): that would wait for isolate threads which may never end
  process.kill(process.pid, 'SIGKILL');
};
process.on('disconnect', die);

process.on('message', (message: ToSandbox) => {
  switch (message.type) {
    case 'load':
      void load(message);
      return;
    case 'invoke':
      void invoke(message);
      return;
    case 'unload':
      drop(message.isolateId);
      answer({ type: 'unloaded', request: message.request });
      return;
    case 'abandon':
      // an answer may have crossed this message on the way: then there is nothing left to end
      atWork.get(message.request)?.();
      return;
  }
});
answer({ type: 'ready' });

async function load(message: Extract<ToSandbox, { type: 'load' }>): Promise<void> {
  const { request, isolateId } = message;
  drop(isolateId);
  const source = readSource(message.name, message.files);
  if (source.type === 'unusable') return answer({ type: 'refused', request, message: source.message });
  const abandoned = abandonment(request);
  const loading = loadIsolate({ config: message.config, code: source.code, timeoutMs: message.timeoutMs }, limits, {
    catastrophe(reason) {
      writeSync(2, `\n${CATASTROPHE_MARK} ${isolateId} ${reason}\n`);
      die();
    },
    began: (dispose) => abandoned.endWith(dispose),
    locate: geoip.forIsolate(),
  });
  try {
    const loaded = await Promise.race([loading, abandoned.happened]);
    if (loaded.type === 'loaded') isolates.set(isolateId, loaded.isolate);
    answer(
      loaded.type === 'loaded'
        ? { type: 'loaded', request, methods: loaded.methods, imports: loaded.imports, setup: loaded.setup }
        : { type: 'refused', request, message: loaded.message, setup: loaded.setup },
    );
  } catch (error) {
    answer(limitAnswer(request, error));
  } finally {
    atWork.delete(request);
  }
}

async function invoke(message: Extract<ToSandbox, { type: 'invoke' }>): Promise<void> {
  const { request, isolateId } = message;
  const isolate = isolates.get(isolateId);
  if (isolate === undefined) return answer({ type: 'not-loaded', request });
  const abandoned = abandonment(request);
  abandoned.endWith(() => isolate.dispose());
  try {
    const invoked = await Promise.race([isolate.invoke(message.events, message.timeoutMs), abandoned.happened]);
    answer({ type: 'invoked', request, ...invoked });
  } catch (error) {
    // an isolate stopped in the middle of plugin code is in no known state: the next load makes a fresh one
    if (isolates.get(isolateId) === isolate) isolates.delete(isolateId);
    isolate.dispose();
    answer(limitAnswer(request, error));
  } finally {
    atWork.delete(request);
  }
}

function limitAnswer(request: number, error: unknown): FromSandbox {
  if (error instanceof IsolateError && error.code === 'overdue') return { type: 'overdue', request };
  return { type: 'collapsed', request, message: error instanceof Error ? error.message : String(error) };
}

function abandonment(request: number): { readonly happened: Promise<never>; endWith(end: () => void): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined); // nobody may be racing it any more
  return {
    happened: promise,
    endWith(end) {
      atWork.set(request, () => {
        reject(new IsolateError('overdue', new Error('wall deadline passed')));
        end();
      });
    },
  };
}

function drop(isolateId: number): void {
  isolates.get(isolateId)?.dispose();
  isolates.delete(isolateId);
}
