import cluster from 'node:cluster';
import type { Fork, FromWorker } from './protocol.ts';

/**
 * Real workers, by node:cluster: this program again, with the same command line. They share one listening socket, which the primary holds
 * as well, and each takes from it when it has time (docs/adr/0025): what waits to be taken outlives any of them.
 */
export function clusterFork({ env, instance }: { readonly env: NodeJS.ProcessEnv; readonly instance: string }): Fork {
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  const attributes = env['OTEL_RESOURCE_ATTRIBUTES'];
  return (slot, { heard, ended }) => {
    const ours = `service.instance.id=${instance}-w${slot}`;
    const worker = cluster.fork({ OTEL_RESOURCE_ATTRIBUTES: attributes === undefined ? ours : `${attributes},${ours}` });
    worker.on('message', (message: FromWorker) => heard(message));
    worker.on('exit', (code, signal) => ended(code, signal));
    // A message to one that has just died is nobody's; its end is told by `exit`.
    worker.on('error', () => undefined);
    return {
      pid: worker.process.pid ?? 0,
      send: (message) => void (worker.isConnected() && worker.send(message)),
      kill: () => void worker.process.kill('SIGKILL'),
    };
  };
}
