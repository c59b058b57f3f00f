import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/listen.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { makeAuthority, probeOpenssl } from '../services/certificates.ts';

const openssl = await requireService('openssl', probeOpenssl);

test.skipIf(!openssl.available)(
  'a drain over TLS: clients with kept-alive connections hear of it and none fails, idle ones are closed, a handshake that stands still is cut',
  async () => {
    const authority = await makeAuthority('the authority of the test');
    onTestFinished(() => authority.remove());
    const tls = await authority.server('server', ['IP:127.0.0.1']);
    const names = { name: 'the test server', hostSetting: 'A', portSetting: 'B' };
    const server = await listen({
      handle: (_, response) => void response.end('ok'),
      tls,
      host: '127.0.0.1',
      port: 0,
      clock: systemClock,
      ...names,
    });

    const ask = (agent: Agent): Promise<boolean> =>
      new Promise((resolve, reject) => {
        const asked = request({ port: server.port, host: '127.0.0.1', agent, ca: authority.cert }, (response) => {
          response.resume().on('end', () => resolve(response.headers.connection === 'close'));
        });
        asked.on('error', reject).end();
      });
    const agents = Array.from({ length: 9 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    const [idle, ...busy] = agents;
    expect(await Promise.all(agents.map(ask))).toEqual(Array(9).fill(false));
    const mute = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => mute.once('connect', resolve));
    mute.on('error', () => undefined); // a reset is an end as well
    const muteEnded = new Promise((resolve) => mute.once('close', resolve));

    const drained = server.drain({ announceMs: 0, lingerMs: 400, graceMs: 400 });
    const untilTold = async (agent: Agent): Promise<void> => {
      while (!(await ask(agent))) await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    };
    await Promise.all(busy.map(untilTold));
    await Promise.all([drained, muteEnded]);
    await expect(ask(idle as Agent)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    for (const agent of agents) agent.destroy();
  },
);
