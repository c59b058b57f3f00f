import { GLOBALS } from './globals.ts';

/** Name of this code in stacks: where an author's frames end. */
export const OWN_FILE = 'troupe-prelude';

/**
 * JavaScript that runs FIRST in every plugin's context, as a closure (isolated-vm `evalClosure`; $0 = JSON text of the
 * config, $1 = greatest length of one result in characters, $2 = greatest number of console lines a batch may send, $3 = the child's
 * services, text in and text out, $4 = reference to a function of the child that locates an IP address, text in and a promise of JSON
 * text out).
 * It resolves to an object of functions that only the child holds; the plugin can reach none of them.
 *
 * Invariants (test/contract/sandbox.test.ts attacks each):
 * P1 everything it needs of the language is captured before plugin code exists; no method is looked up on a prototype
 *    afterwards, so polluted prototypes reach the plugin's own values only.
 * P2 only strings leave. The envelope is joined from JSON texts, never stringified as an object, so an inherited
 *    `toJSON` cannot rewrite it.
 * P3 whatever a plugin throws is turned into text in here, under the time limit: a thrown Proxy with an endless getter
 *    never meets the child.
 * P4 an event whose text is longer than the limit fails alone, inside, before it is copied anywhere.
 * P5 WebAssembly, SharedArrayBuffer and Atomics are gone: their memory is outside the isolate's limit, and a wait on
 *    them is not.
 */
export const PRELUDE = String.raw`
'use strict';
const { parse, stringify } = JSON;
const { isArray } = Array;
const { keys, create, defineProperty } = Object;
const text = String;
const Failure = Error;
const uncurried = Function.prototype.bind.bind(Function.prototype.call);
const cut = uncurried(String.prototype.slice);
const scope = globalThis;
const now = Date.now;
const maxResultChars = $1;
const maxConsoleLines = $2;
for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics']) delete scope[name];

// console: text only, bounded in lines, and in characters per line and in all; a line of more than maxLineChars shows by its length that it was cut
const maxLineChars = 50000;
const maxConsoleChars = 1048576;
let consoleText = '';
let consoleCount = 0;
let consoleLost = 0;
const show = (part) => {
  try {
    return typeof part === 'object' && part !== null ? text(stringify(part)) : text(part);
  } catch {
    return '[unprintable]';
  }
};
const say = (level) => (...parts) => {
  if (consoleCount >= maxConsoleLines || consoleText.length >= maxConsoleChars) return void (consoleLost += 1);
  let line = '';
  for (let i = 0; i < parts.length && line.length <= maxLineChars; i += 1) line += (i === 0 ? '' : ' ') + show(parts[i]);
  consoleText += (consoleCount === 0 ? '' : ',') + '["' + level + '",' + stringify(cut(line, 0, maxLineChars + 1)) + ']';
  consoleCount += 1;
};
const takeConsole = () => {
  const taken = '"console":[' + consoleText + '],"consoleLost":' + consoleLost;
  consoleText = '';
  consoleCount = 0;
  consoleLost = 0;
  return taken;
};
scope.console = { debug: say('debug'), log: say('log'), info: say('info'), warn: say('warn'), error: say('error') };

// modules: what PostHog offers that needs neither network nor Node
class RetryError extends Error {
  constructor(message) {
    super(message);
    this.name = 'RetryError';
  }
}
scope.RetryError = RetryError;
scope.exports = {};
scope.module = { exports: {} };
const modules = create(null);
modules['@posthog/plugin-scaffold'] = { RetryError };
{
  const offered = ${GLOBALS}($3);
  modules.crypto = offered.crypto;
  modules.url = offered.url;
}
const imported = create(null);
scope.require = (name) => {
  if (typeof name === 'string' && modules[name] !== undefined) {
    imported[name] = true;
    return modules[name];
  }
  throw new Error("Cannot import '" + name + "'! This package is not provided by PostHog in plugins.");
};

// meta.geoip: asked of the child, which asks the process that holds the database
const locateOutside = $4;
const toPromise = { result: { promise: true } };
const geoip = {
  async locate(ip) {
    const answer = parse(await locateOutside.apply(undefined, [cut(text(ip), 0, 64)], toPromise));
    if (answer.error !== undefined) throw new Failure(answer.error);
    return answer.record;
  },
};

const meta = { config: parse($0), global: {}, attachments: {}, geoip };
const found = create(null);

// P3: the fields of whatever was thrown, as JSON text. Own frames end the stack: the author's are above them.
const describe = (error) => {
  let name = 'Error';
  let message = 'plugin error';
  let stack;
  try {
    if (typeof error === 'object' && error !== null) {
      message = cut(text(error.message || error), 0, 1000) || message;
      name = cut(text(error.name || name), 0, 100);
      stack = typeof error.stack === 'string' ? ownFramesOff(cut(error.stack, 0, 10000)) : undefined;
    } else {
      message = cut(text(error), 0, 1000) || message;
      name = cut(message, 0, 100);
    }
  } catch {} // its own getters threw: what was read of it so far is told
  return '"message":' + stringify(message) + ',"error":{"name":' + stringify(name) + ',"message":' + stringify(message) + (stack === undefined ? '' : ',"stack":' + stringify(stack)) + '}';
};
const find = uncurried(String.prototype.indexOf);
const findLast = uncurried(String.prototype.lastIndexOf);
const ownFramesOff = (stack) => {
  const own = find(stack, '${OWN_FILE}:');
  return own < 0 ? stack : cut(stack, 0, findLast(stack, '\n', own));
};
const because = (message) => '"message":' + stringify(message) + ',"error":{"name":"Error","message":' + stringify(message) + '}';
const failed = (why, event) => {
  let state = 'null';
  try {
    const whole = stringify(event);
    if (typeof whole === 'string' && whole.length <= maxResultChars) state = whole;
  } catch {} // it cannot be JSON: then it is told without its state
  return '{"type":"failed",' + why + ',"event":' + state + '}';
};
const one = async (event) => {
  try {
    let result;
    if (found.processEvent) result = await found.processEvent(event, meta);
    else if (found.processEventBatch) {
      const results = await found.processEventBatch([event], meta);
      result = results ? results[0] : undefined;
    } else result = event;
    if (!result) return '{"type":"dropped"}';
    const whole = stringify(result);
    if (typeof whole !== 'string' || typeof result !== 'object' || isArray(result)) return failed(because('the plugin returned something that is no event'), event);
    if (whole.length > maxResultChars) return failed(because('the plugin returned an event of ' + whole.length + ' characters'), undefined);
    return '{"type":"event","event":' + whole + '}';
  } catch (error) {
    return failed(describe(error), event);
  }
};

let running;
const runBatch = async (batch) => {
  const events = parse(batch);
  let results = '';
  let succeededMs = 0;
  let failedMs = 0;
  for (let i = 0; i < events.length; i += 1) {
    const startedMs = now();
    const result = await one(events[i]);
    if (result[9] === 'f') failedMs += now() - startedMs;
    else succeededMs += now() - startedMs;
    results += (i === 0 ? '' : ',') + result;
  }
  return '{"results":[' + results + '],"succeededMs":' + succeededMs + ',"failedMs":' + failedMs + ',' + takeConsole() + '}';
};

return {
  /** V-12: exports, exports.default, module.exports; the global scope when none of these has keys. */
  adopt(namespace, names) {
    try {
      const places = [];
      const add = (place) => {
        if ((typeof place === 'object' || typeof place === 'function') && place !== null && keys(place).length > 0) defineProperty(places, places.length, { value: place, configurable: true, enumerable: true, writable: true });
      };
      const exported = namespace || scope.exports;
      add(exported);
      add(exported && exported.default);
      add(scope.module && scope.module.exports);
      const wanted = parse(names);
      let methods = '';
      for (let i = 0; i < wanted.length; i += 1) {
        const name = wanted[i];
        let method;
        for (let at = 0; at < places.length && typeof method !== 'function'; at += 1) method = places[at][name];
        if (places.length === 0) method = scope[name];
        if (typeof method !== 'function') continue;
        found[name] = method;
        methods += (methods === '' ? '' : ',') + stringify(name);
      }
      let importNames = '';
      for (const name in imported) importNames += (importNames === '' ? '' : ',') + stringify(name);
      return '{"methods":[' + methods + '],"imports":[' + importNames + ']}';
    } catch (error) {
      return '{"failed":{' + describe(error) + '}}';
    }
  },
  async setUp() {
    const startedMs = now();
    try {
      if (found.setupPlugin) await found.setupPlugin(meta);
      return '{' + (found.setupPlugin ? '"setupMs":' + (now() - startedMs) + ',' : '') + takeConsole() + '}';
    } catch (error) {
      return '{"failed":{' + describe(error) + '},"setupMs":' + (now() - startedMs) + ',' + takeConsole() + '}';
    }
  },
  invoke(batch) {
    running = runBatch(batch);
    return running;
  },
  /** The answer of that batch once more, for whoever was told of a rejected promise instead of it (PE-8). */
  answered: () => running,
};
`;

/** Methods looked for (V-12, section 6.4). Only the first three are called here. */
export const METHOD_NAMES = [
  'setupPlugin',
  'processEvent',
  'processEventBatch',
  'teardownPlugin',
  'onEvent',
  'composeWebhook',
  'exportEvents',
  'getSettings',
  'runEveryMinute',
  'runEveryHour',
  'runEveryDay',
] as const;
