import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Bounds the connections that say nothing: where there are more than `most`, the oldest of them is closed for a new one,
 * so that a flood of them keeps nobody out.
 * @returns whether nothing is being answered on a connection
 */
export function boundIdleConnections(server: Server, most: number): (socket: Socket) => boolean {
  /** Oldest first. */
  const idle = new Set<Socket>();
  /** Requests of a connection that are being answered: a client may send several at once. */
  const open = new WeakMap<Socket, number>();
  server.on('connection', (socket) => {
    idle.add(socket);
    socket.once('close', () => idle.delete(socket));
    for (const oldest of idle) {
      if (idle.size <= most) break;
      idle.delete(oldest);
      oldest.destroy();
    }
  });
  server.on('request', ({ socket }, response) => {
    idle.delete(socket);
    open.set(socket, (open.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const left = open.get(socket)! - 1;
      open.set(socket, left);
      if (left === 0 && !socket.destroyed) idle.add(socket);
    });
  });
  return (socket) => !open.get(socket);
}
