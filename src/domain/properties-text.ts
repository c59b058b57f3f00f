import type { Json } from './event.ts';

/**
 * The JSON text of a person's properties. One changed person is written as text three times (PostgreSQL, ClickHouse's person
 * row, the event's own row), so the text is kept with the object for as long as that lives.
 *
 * The object must not change once its text was asked for: folds make new objects, and nobody else may touch them.
 */
export function propertiesText(properties: Readonly<Json>): string {
  let text = texts.get(properties);
  if (text === undefined) texts.set(properties, (text = JSON.stringify(properties)));
  return text;
}

const texts = new WeakMap<Readonly<Json>, string>();
