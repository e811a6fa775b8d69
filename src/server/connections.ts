import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { type Link, Linked } from '../linked.js';

/** A connection: how many of its requests are being answered, since a client may send several at once, and its place where none is. */
interface Connection {
  open: number;
  idle: Link<Socket>;
}

/**
 * Bounds the connections that say nothing: where there are more than `most`, the oldest of them is closed for a new one,
 * so that a flood of them keeps nobody out.
 * @returns whether nothing is being answered on a connection
 */
export function boundIdleConnections(server: Server, most: number): (socket: Socket) => boolean {
  const idle = new Linked<Socket>();
  const connections = new WeakMap<Socket, Connection>();
  server.on('connection', (socket) => {
    const connection = { open: 0, idle: idle.add(socket) };
    connections.set(socket, connection);
    socket.once('close', () => idle.remove(connection.idle));
    while (idle.size > most) idle.shift()!.destroy();
  });
  server.on('request', ({ socket }, response) => {
    const connection = connections.get(socket)!;
    idle.remove(connection.idle);
    connection.open++;
    response.once('close', () => {
      connection.open--;
      if (connection.open === 0 && !socket.destroyed) connection.idle = idle.add(socket);
    });
  });
  return (socket) => !connections.get(socket)?.open;
}
