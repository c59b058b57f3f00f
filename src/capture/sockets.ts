import type { Socket } from 'node:net';
import { state } from '../observe/facts.ts';

/** Knows the connections over which a request came and that are still open. To be told of the socket of every request. */
export function countSockets(): (socket: Socket) => void {
  const open = new Set<Socket>();
  return (socket) => {
    if (open.has(socket) || socket.destroyed) return;
    open.add(socket);
    state('capture-connections-changed', { count: open.size });
    socket.once('close', () => {
      open.delete(socket);
      state('capture-connections-changed', { count: open.size });
    });
  };
}
