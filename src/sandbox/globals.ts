import { createHash, createHmac, getHashes, randomUUID } from 'node:crypto';

/**
 * What plugins may use beyond the language (V-10, V-11): URL, URLSearchParams, and of `crypto` the hashes. The work is done
 * by Node in the child, asked by the isolate one text at a time; nothing but text crosses, and nothing here touches a file,
 * the network or another plugin. Not offered: fetch and everything else that needs a network, Buffer, timers.
 */
export type Service = (question: string) => string;

/**
 * Answers one question from an isolate. Never throws: an error is text too.
 * @param question JSON array: the service's name, then its arguments, all of them text.
 */
export const answerService: Service = (question) => {
  try {
    const [name, ...args] = (JSON.parse(question) as unknown[]).map(String);
    const service = services[name ?? ''];
    return service === undefined ? '{"error":"unknown service"}' : JSON.stringify({ value: service(...args) });
  } catch (error) {
    return JSON.stringify({ error: error instanceof Error ? error.message : 'unknown' });
  }
};

const URL_FIELDS = [
  'href',
  'origin',
  'protocol',
  'username',
  'password',
  'host',
  'hostname',
  'port',
  'pathname',
  'search',
  'hash',
] as const;
const fieldsOf = (url: URL): Record<string, string> => Object.fromEntries(URL_FIELDS.map((field) => [field, url[field]]));

const services: Readonly<Record<string, (...args: string[]) => unknown>> = Object.assign(Object.create(null) as object, {
  parseUrl: (text: string, base?: string) => fieldsOf(new URL(text, base)),
  editUrl(href: string, field: string, value: string) {
    const url = new URL(href);
    const editable = URL_FIELDS.find((one) => one === field && one !== 'origin');
    if (editable !== undefined && editable !== 'origin') url[editable] = value;
    return fieldsOf(url);
  },
  parseQuery: (text: string) => [...new URLSearchParams(text)],
  formatQuery: (pairs: string) => new URLSearchParams(JSON.parse(pairs) as [string, string][]).toString(),
  hash: (algorithm: string, data: string, encoding: string) => createHash(known(algorithm)).update(data).digest(textual(encoding)),
  hmac: (algorithm: string, key: string, data: string, encoding: string) =>
    createHmac(known(algorithm), key).update(data).digest(textual(encoding)),
  uuid: () => randomUUID(),
});

function known(algorithm: string): string {
  if (!getHashes().includes(algorithm)) throw new Error('Digest method not supported');
  return algorithm;
}

function textual(encoding: string): 'hex' | 'base64' | 'base64url' {
  if (encoding === 'hex' || encoding === 'base64' || encoding === 'base64url') return encoding;
  throw new Error('a digest is given as hex, base64 or base64url');
}

/** JavaScript for inside: a function of the service that sets the globals and returns the modules for `require`. */
export const GLOBALS = String.raw`
((service) => {
  const { parse, stringify } = JSON;
  const ask = (...question) => {
    const answer = parse(service(stringify(question.map(String))));
    if ('error' in answer) throw new TypeError(answer.error);
    return answer.value;
  };
  const define = (name, value) => Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });

  class URLSearchParams {
    #pairs;
    #changed;
    constructor(init = '', changed) {
      this.#changed = changed;
      if (init instanceof URLSearchParams) this.#pairs = [...init];
      else if (init !== null && typeof init === 'object') {
        const pairs = typeof init[Symbol.iterator] === 'function' ? [...init] : Object.entries(init);
        this.#pairs = pairs.map(([name, value]) => [String(name), String(value)]);
      } else this.#pairs = ask('parseQuery', init);
    }
    #set(pairs) {
      this.#pairs = pairs;
      if (this.#changed) this.#changed(this.toString());
    }
    get size() { return this.#pairs.length; }
    get(name) { return this.#pairs.find(([known]) => known === String(name))?.[1] ?? null; }
    getAll(name) { return this.#pairs.filter(([known]) => known === String(name)).map(([, value]) => value); }
    has(name, value) { return this.#pairs.some(([known, own]) => known === String(name) && (value === undefined || own === String(value))); }
    append(name, value) { this.#set([...this.#pairs, [String(name), String(value)]]); }
    delete(name, value) { this.#set(this.#pairs.filter(([known, own]) => known !== String(name) || (value !== undefined && own !== String(value)))); }
    set(name, value) {
      const at = this.#pairs.findIndex(([known]) => known === String(name));
      if (at < 0) return this.append(name, value);
      this.#set(this.#pairs.flatMap((pair, index) => (index === at ? [[String(name), String(value)]] : pair[0] === String(name) ? [] : [pair])));
    }
    sort() { this.#set([...this.#pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))); }
    forEach(run, that) { for (const [name, value] of this.#pairs) run.call(that, value, name, this); }
    *entries() { for (const pair of this.#pairs) yield [...pair]; }
    *keys() { for (const [name] of this.#pairs) yield name; }
    *values() { for (const [, value] of this.#pairs) yield value; }
    [Symbol.iterator]() { return this.entries(); }
    toString() { return ask('formatQuery', stringify(this.#pairs)); }
  }

  class URL {
    #fields;
    #params;
    constructor(text, base) { this.#fields = base === undefined ? ask('parseUrl', text) : ask('parseUrl', text, base); }
    static canParse(text, base) { try { return !!new URL(text, base); } catch { return false; } }
    static edit(url, field, value) {
      url.#fields = ask('editUrl', url.#fields.href, field, value);
      if (field === 'search' || field === 'href') url.#params = undefined;
    }
    static read(url, field) { return url.#fields[field]; }
    get searchParams() { return (this.#params ??= new URLSearchParams(this.#fields.search, (text) => { this.#fields = ask('editUrl', this.#fields.href, 'search', text); })); }
    toString() { return this.#fields.href; }
    toJSON() { return this.#fields.href; }
  }
  const { edit, read } = URL;
  delete URL.edit;
  delete URL.read;
  for (const field of ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname', 'search', 'hash'])
    Object.defineProperty(URL.prototype, field, {
      enumerable: true,
      configurable: true,
      get() { return read(this, field); },
      set: field === 'origin' ? undefined : function (value) { edit(this, field, value); },
    });

  const digester = (kind, first) => {
    let data = '';
    return {
      update(more) {
        if (typeof more !== 'string') throw new TypeError('data must be a string');
        data += more;
        return this;
      },
      digest: (encoding) => ask(kind, ...first, data, encoding),
    };
  };
  const crypto = {
    createHash: (algorithm) => digester('hash', [algorithm]),
    createHmac: (algorithm, key) => digester('hmac', [algorithm, key]),
    randomUUID: () => ask('uuid'),
  };
  define('URL', URL);
  define('URLSearchParams', URLSearchParams);
  return { crypto, url: { URL, URLSearchParams } };
})`;
