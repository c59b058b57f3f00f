import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

/** Where distributions put a Chromium; the first that exists is used. */
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * `--no-sandbox`: the tests may run as root, where Chromium has none. The others keep it from looking up hosts of its maker, which a
 * machine without a way out refuses, many at a time.
 */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @throws Error saying where a Chromium was looked for. */
export function probeBrowser(): Promise<string> {
  const found = PLACES.find((place) => existsSync(place));
  return found === undefined ? Promise.reject(new Error(`no Chromium at ${PLACES.join(', ')}`)) : Promise.resolve(found);
}

/** A headless Chromium with a profile of its own, empty, which is removed when it is closed. */
export async function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: await probeBrowser(), headless: true, args: FLAGS });
}
