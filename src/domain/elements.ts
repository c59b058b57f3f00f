import { isJsonObject } from './json.ts';
import { toText } from './strings.ts';

/** One element of an autocapture chain, as onEvent and webhooks see it (E-5). */
export interface ChainElement {
  readonly order: number;
  tag_name?: string;
  attr_class?: readonly string[];
  text?: string;
  href?: string;
  attr_id?: string;
  nth_child?: number;
  nth_of_type?: number;
  readonly attributes: Record<string, string>;
}

const MAX_TEXT_LENGTH = 400;
const MAX_HREF_LENGTH = 2_048;
/** E-4. Of one language, so that a chain is the same whatever the machine's is: Danish sorts `aa` behind `z`. */
const ATTRIBUTE_ORDER = new Intl.Collator('en');

/**
 * E-2..E-4: the chain of an event's `$elements`, leaf first. Undefined when something in it has no text form (null as
 * an attribute, a number as href): then the event keeps its `$elements` and gets an empty chain.
 */
export function elementsChainOf(elements: unknown): string | undefined {
  if (!Array.isArray(elements)) return undefined;
  const chain: string[] = [];
  for (const element of elements as readonly unknown[]) {
    const text = elementText(element);
    if (text === undefined) return undefined;
    chain.push(text);
  }
  return chain.join(';');
}

function elementText(element: unknown): string | undefined {
  if (!isJsonObject(element)) return undefined;
  const classes = classesOf(element['attr__class']);
  if (classes === undefined) return undefined;
  let head = element['tag_name'] ? toText(element['tag_name']) : '';
  for (const name of classes.toSorted()) head += `.${name.replaceAll('"', '')}`;

  const attributes = new Map<string, unknown>([
    ['nth-child', element['nth_child'] ?? 0],
    ['nth-of-type', element['nth_of_type'] ?? 0],
  ]);
  for (const [name, key, limit] of [
    ['text', '$el_text', MAX_TEXT_LENGTH],
    ['href', 'attr__href', MAX_HREF_LENGTH],
  ] as const) {
    const value = element[key] ?? '';
    if (typeof value !== 'string') return undefined;
    if (value !== '') attributes.set(name, value.slice(0, limit));
  }
  if (element['attr__id']) attributes.set('attr_id', element['attr__id']);
  for (const key in element) if (key.startsWith('attr__')) attributes.set(key, element[key]);

  let text = `${head}:`;
  for (const key of [...attributes.keys()].sort(ATTRIBUTE_ORDER.compare)) {
    const value = attributes.get(key);
    if (value === null || value === undefined) return undefined;
    text += `${quoted(key)}="${quoted(toText(value))}"`;
  }
  return text;
}

/** E-3: an array as it is, a text split at each single space, nothing for a falsy value, undefined for the rest. */
function classesOf(value: unknown): readonly string[] | undefined {
  if (!value) return [];
  if (typeof value === 'string') return value.split(' ');
  if (!Array.isArray(value)) return undefined;
  return value.every((name) => typeof name === 'string') ? value : undefined;
}

/** Quotes are all that is escaped. */
function quoted(text: string): string {
  return text.includes('"') ? text.replaceAll('"', '\\"') : text;
}

/**
 * E-5: elements of a stored chain. Escapes are not undone and values keep their backslashes; what cannot be read ends
 * the parse with the elements found so far. Never throws.
 */
export function parseElementsChain(chain: string): ChainElement[] {
  const clean = chain.replaceAll('\\n', '');
  if (clean === '') return [];
  return splitElements(clean).map(parseElement);
}

/** Splits at semicolons outside quotes; a backslash hides the character behind it. */
function splitElements(chain: string): string[] {
  const parts: string[] = [];
  let inQuotes = false;
  let start = 0;
  for (let at = 0; at < chain.length; at++) {
    const character = chain[at];
    if (character === '\\') at++;
    else if (character === '"') inQuotes = !inQuotes;
    else if (character === ';' && !inQuotes) {
      parts.push(chain.slice(start, at));
      start = at + 1;
    }
  }
  parts.push(chain.slice(start));
  return parts.filter((part) => part !== '');
}

/** The first colon that an attribute follows: classes may hold colons themselves (`md:flex`). */
const ATTRIBUTES_START = /:(?=[^"=:;]*=")/;
/** Sticky: an attribute starts where the last one ended, else the parse is over. Searching on would cost the square of the length. */
const ATTRIBUTE = /([^"=]+)="((?:[^"\\]|\\.)*)"/gsy;

function parseElement(text: string, order: number): ChainElement {
  const element: ChainElement = { order, attributes: {} };
  const start = text.search(ATTRIBUTES_START);
  const head = start < 0 ? text.replace(/:$/, '') : text.slice(0, start);
  const [tag, ...classes] = head.split('.');
  if (tag !== undefined && tag !== '') element.tag_name = tag;
  const named = classes.filter((name) => name !== '');
  if (named.length > 0) element.attr_class = named;
  if (start >= 0) {
    for (const [, key = '', value = ''] of text.slice(start + 1).matchAll(ATTRIBUTE)) assign(element, key, value);
  }
  return element;
}

function assign(element: ChainElement, key: string, value: string): void {
  switch (key) {
    case 'href':
      element.href = value;
      break;
    case 'text':
      element.text = value;
      break;
    case 'attr_id':
      element.attr_id = value;
      break;
    case 'nth-child':
      element.nth_child = Number.parseInt(value, 10);
      break;
    case 'nth-of-type':
      element.nth_of_type = Number.parseInt(value, 10);
      break;
    default:
      if (key !== '__proto__') element.attributes[key] = value;
  }
}
