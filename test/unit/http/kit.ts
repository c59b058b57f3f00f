import { request as httpRequest, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { listen, type Listening } from '../../../src/http/listen.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

export interface Answered {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

export const NAMES = { name: 'the test server', hostSetting: 'TROUPE_TEST_HOST', portSetting: 'TROUPE_TEST_PORT' };

export function listenOn(handle: RequestListener, port = 0, host = '127.0.0.1'): Promise<Listening> {
  return listen({ handle, host, port, clock: systemClock, ...NAMES });
}

export function ask(
  port: number,
  path: string,
  options: { readonly method?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { port, host: '127.0.0.1', path, method: options.method ?? 'GET', headers: options.headers ?? {}, agent: false },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
        response.on('error', reject);
      },
    );
    request.on('error', reject).end();
  });
}
