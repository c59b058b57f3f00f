import ivm from 'isolated-vm';
import { answerService } from './globals.ts';
import type { PluginFault } from './port.ts';
import { METHOD_NAMES, OWN_FILE, PRELUDE } from './prelude.ts';
import type { ChildLimits } from './protocol.ts';

/** One plugin config's own V8 isolate: own heap, own thread while it runs, nothing in it but the language and the prelude. */
export interface PluginIsolate {
  /** Runs a JSON array of events; resolves to JSON text of a BatchAnswer. @throws IsolateError, any other error is a bug. */
  invoke(events: string, timeoutMs: number): Promise<Invoked>;
  /** Ends it, also under a running call, which then rejects or never settles. */
  dispose(): void;
}

export interface Invoked {
  readonly answer: string;
  /** Of a promise that the plugin left alone and that was rejected (PE-8). */
  readonly rejection: PluginFault | undefined;
}

export type LoadedIsolate =
  | {
      readonly type: 'loaded';
      readonly isolate: PluginIsolate;
      readonly methods: readonly string[];
      readonly imports: readonly string[];
      readonly setup: string;
    }
  | { readonly type: 'refused'; readonly message: string; readonly setup?: string };

export class IsolateError extends Error {
  readonly code: 'overdue' | 'collapsed';
  constructor(code: IsolateError['code'], cause: unknown) {
    super(cause instanceof Error ? cause.message : code, { cause });
    this.name = 'IsolateError';
    this.code = code;
  }
}

/**
 * Makes the isolate, evaluates `code` and runs setupPlugin. `began` hands the bare isolate out before plugin code runs,
 * so that a load that never settles can be disposed of. @throws IsolateError when code overran `timeoutMs` or its memory.
 */
export async function loadIsolate(
  plugin: { readonly config: string; readonly code: string; readonly timeoutMs: number },
  limits: ChildLimits,
  events: {
    readonly catastrophe: (message: string) => void;
    readonly began: (dispose: () => void) => void;
    /** Answers `meta.geoip.locate`, text in and JSON text out; does not reject. */
    readonly locate: (ip: string) => Promise<string>;
  },
): Promise<LoadedIsolate> {
  const isolate = new ivm.Isolate({ memoryLimit: limits.memoryLimitMb, onCatastrophicError: events.catastrophe });
  const dispose = (): void => {
    if (!isolate.isDisposed) isolate.dispose();
  };
  events.began(dispose);
  const refuse = (message: string, setup?: string): LoadedIsolate => {
    dispose();
    return setup === undefined ? { type: 'refused', message } : { type: 'refused', message, setup };
  };
  const timeout = plugin.timeoutMs;
  try {
    const context = await isolate.createContext();
    const service = new ivm.Callback(answerService, { sync: true });
    const locate = new ivm.Reference(events.locate);
    const given = [plugin.config, limits.maxResultChars, limits.maxConsoleLines, service, locate];
    const functions: unknown = await context.evalClosure(PRELUDE, given, { result: { reference: true }, filename: OWN_FILE });
    const { adopt, setUp, invoke, answered } = await members(functions as ivm.Reference<Functions>);

    const namespace = await evaluate(isolate, context, plugin.code, timeout);
    const adopted = readVerdict(await adopt.apply(undefined, [namespace?.derefInto(), JSON.stringify(METHOD_NAMES)], { timeout }));
    if (adopted.failed !== undefined) return refuse(adopted.failed.message);
    const setup: unknown = await setUp.apply(undefined, [], { timeout, result: { promise: true } });
    if (typeof setup !== 'string') throw new TypeError('setUp did not answer with text'); // P2 of the prelude
    const ready = readVerdict(setup);
    if (ready.failed !== undefined) return refuse(`setupPlugin failed with ${ready.failed.message}`, setup);
    return {
      type: 'loaded',
      methods: adopted.methods,
      imports: adopted.imports,
      setup,
      isolate: {
        dispose,
        async invoke(batch, timeoutMs) {
          const options = { timeout: timeoutMs, result: { promise: true } } as const;
          let rejection: PluginFault | undefined;
          let answer: Promise<unknown> = invoke.apply(undefined, [batch], options);
          for (let rejections = 0; ; rejections++) {
            try {
              return { answer: (await answer) as string, rejection }; // P2 of the prelude
            } catch (error) {
              const limit = limitError(error, isolate);
              if (limit !== undefined || rejections === MAX_REJECTIONS) throw limit ?? error;
              // A rejected promise that nobody awaited is reported in place of the answer, which comes all the same (PE-8).
              rejection ??= faultOf(error);
              answer = answered.apply(undefined, [], options);
            }
          }
        },
      },
    };
  } catch (error) {
    const limit = limitError(error, isolate);
    dispose();
    if (limit !== undefined) throw limit;
    return { type: 'refused', message: error instanceof Error ? error.message.slice(0, 500) : 'plugin error' };
  }
}

/** Promises that one batch may leave alone; a plugin that leaves more is stopped. */
const MAX_REJECTIONS = 1_000;

interface Functions {
  readonly adopt: (namespace: unknown, names: string) => string;
  readonly setUp: () => Promise<string>;
  readonly invoke: (batch: string) => Promise<string>;
  readonly answered: () => Promise<string>;
}

async function members(functions: ivm.Reference<Functions>) {
  const get = <Name extends keyof Functions>(name: Name) => functions.get(name, { reference: true });
  return { adopt: await get('adopt'), setUp: await get('setUp'), invoke: await get('invoke'), answered: await get('answered') };
}

/**
 * V8 itself says which kind of source this is: what does not parse as a script because of `import` or `export` is a
 * module, and its exports are the module's namespace. Nobody rewrites the author's code, so positions in messages hold.
 */
async function evaluate(
  isolate: ivm.Isolate,
  context: ivm.Context,
  code: string,
  timeout: number,
): Promise<ivm.Reference<unknown> | undefined> {
  let script: ivm.Script;
  try {
    script = await isolate.compileScript(code, { filename: 'plugin' });
  } catch (asScript) {
    if (!(asScript instanceof SyntaxError) || !/import|export|await/.test(asScript.message)) throw asScript;
    const module = await isolate.compileModule(code, { filename: 'plugin' });
    await module.instantiate(context, (specifier) => provideModule(isolate, specifier));
    await module.evaluate({ timeout, promise: true });
    return module.namespace;
  }
  await script.run(context, { timeout });
  return undefined;
}

/** Authors import types without the word `type`, and a module must export every name that is asked of it. */
const SCAFFOLD_TYPES =
  'Plugin PluginEvent PluginMeta PluginInput PluginAttachment PluginConfigSchema PluginConfigStructure PluginConfigChoice PluginConfigDefault PluginJobs PluginSettings Properties Meta BasePluginMeta CacheExtension StorageExtension GeoIPExtension UtilsExtension JobsExtension ApiExtension ConsoleExtension ProcessedPluginEvent PostHogEvent Webhook Response Element';

/** What `import` finds: the same objects as `require`, by these names. */
const MODULES = new Map([
  ['@posthog/plugin-scaffold', `RetryError ${SCAFFOLD_TYPES}`],
  ['crypto', 'createHash createHmac randomUUID'],
  ['url', 'URL URLSearchParams'],
]);

function provideModule(isolate: ivm.Isolate, specifier: string): Promise<ivm.Module> {
  const names = MODULES.get(specifier);
  if (names === undefined) throw new Error(`Cannot import '${specifier}'! This package is not provided by PostHog in plugins.`);
  const exported = names.split(' ').map((name) => `export const ${name} = own.${name};`);
  return isolate.compileModule(`const own = globalThis.require('${specifier}'); export default own; ${exported.join(' ')}`);
}

/** The isolate's two ways to be stopped by its limits; isolated-vm has no codes, only these messages. */
function limitError(error: unknown, isolate: ivm.Isolate): IsolateError | undefined {
  if (error instanceof Error && /^Script execution timed out/.test(error.message)) return new IsolateError('overdue', error);
  if (isolate.isDisposed) return new IsolateError('collapsed', error);
  return undefined;
}

interface Verdict {
  readonly failed?: { readonly message: string };
  readonly methods: readonly string[];
  readonly imports: readonly string[];
}

function readVerdict(text: unknown): Verdict {
  return { methods: [], imports: [], ...(JSON.parse(String(text)) as Partial<Verdict>) };
}

/** Of what isolated-vm copied out of the isolate. */
function faultOf(error: unknown): PluginFault {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error).slice(0, 1_000) };
  return { name: error.name.slice(0, 100), message: error.message.slice(0, 1_000), stack: authorsFrames(error.stack) };
}

/** isolated-vm appends our own frames to those of the author. */
function authorsFrames(stack: string | undefined): string | undefined {
  const frames = stack?.slice(0, 10_000).split('\n');
  const own = frames?.findIndex((line) => line.includes(`${OWN_FILE}:`) || line.includes('<isolated-vm boundary>')) ?? -1;
  return own < 0 ? frames?.join('\n') : frames?.slice(0, own).join('\n');
}
