import { connect, isIP, type Socket } from 'node:net';

/** Asks the internal MMDB service of the process that started us; answers are JSON texts, made for the isolate. */
export interface GeoIpClient {
  /** Lookups of one isolate: `{"record":…}` or `{"error":"…"}`. Never rejects. */
  forIsolate(): (ip: string) => Promise<string>;
}

/** What PostHog says when there is no database. */
const NOT_READY = '{"error":"geoip database is not ready"}';
const TOO_MANY = '{"error":"too many lookups at once"}';
const NOTHING = '{"record":null}';
/** Lookups that one isolate may have under way: memory here is shared, so an isolate may not fill it. */
const MAX_WAITING_COUNT = 100;

/**
 * One socket for all isolates, made by the first lookup.
 *
 *     none ──lookup──▶ open (also while connecting) ──end, error──▶ none
 *
 * I1  The service answers in order, so the answer that comes belongs to the lookup that waits longest.
 * I2  When the socket ends every lookup on it is told that there is no database; the next lookup makes a new socket.
 * I3  Only addresses are sent: the service ends a connection over anything else.
 * I4  No timer: how long a lookup may take is the deadline of the plugin that waits, kept by the host.
 *
 * @param port undefined: there is no service, and every lookup says so
 */
export function createGeoIpClient(port: number | undefined): GeoIpClient {
  let current: { readonly socket: Socket; readonly waiting: ((answer: string) => void)[] } | undefined;

  function open(at: number): NonNullable<typeof current> {
    const socket = connect({ port: at, host: '127.0.0.1', noDelay: true });
    const waiting: ((answer: string) => void)[] = [];
    const opened = { socket, waiting };
    let rest = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) waiting.shift()?.(line); // I1
    });
    socket.on('error', () => undefined); // 'close' follows and tells everybody
    socket.on('close', () => {
      if (current === opened) current = undefined;
      for (const tell of waiting.splice(0)) tell('"not-ready"'); // I2
    });
    return opened;
  }

  async function ask(at: number, ip: string): Promise<string> {
    const { socket, waiting } = (current ??= open(at));
    const answer = await new Promise<string>((resolve) => {
      waiting.push(resolve);
      socket.write(`${ip}\n`);
    });
    if (answer.startsWith('"')) return answer === '"not-ready"' ? NOT_READY : '{"error":"geoip database cannot be read"}';
    return `{"record":${answer}}`;
  }

  return {
    forIsolate() {
      let waitingCount = 0;
      return async (ip) => {
        if (port === undefined) return NOT_READY;
        if (isIP(ip) === 0) return NOTHING; // I3
        if (waitingCount >= MAX_WAITING_COUNT) return TOO_MANY;
        waitingCount++;
        try {
          return await ask(port, ip);
        } finally {
          waitingCount--;
        }
      };
    },
  };
}
