import { createServer } from 'node:net';

/** Linux hands out ports from 32768 for outgoing connections: a server that restarts on a port up there may find it taken. */
const LOWEST = 20_000;
const HIGHEST = 32_000;

/**
 * `count` distinct ports on 127.0.0.1 that are free now and below the ephemeral range. Somebody else may take one
 * before its server listens (seldom: they are picked at random); a server that cannot listen must fail loudly.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

/** One free port; see {@link freePorts}. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error('no free port');
  return port;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
