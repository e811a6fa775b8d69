import type { ServerResponse } from 'node:http';
import { describe, expect, it, vi } from 'vitest';
import { fetchHub } from '../../../src/weights/hub/hub.js';
import { fiddlerRejection } from '../../support/errors.js';
import { ID, options, refusal, shardedFolder } from '../../support/hub.js';
import { type HubServer, hubServer, type Interception, refuse } from '../../support/hub-server.js';
import { SMALL_MODEL } from '../../support/model.js';

describe('a server that fails', () => {
  /** Fails the first `times` requests for the listing. */
  const failing =
    (times: number, fail: (response: ServerResponse) => void): Interception =>
    (request, response, nth) => {
      if (!request.url!.startsWith('/api/') || nth > times) return false;
      fail(response);
      return true;
    };

  it.each([
    ['500', (response: ServerResponse) => refuse(response, 500)],
    ['503', (response: ServerResponse) => refuse(response, 503)],
    ['429', (response: ServerResponse) => refuse(response, 429, undefined, { 'Retry-After': '0' })],
    ['cannot reach', (response: ServerResponse) => void response.socket!.destroy()],
    ['does not answer for 1 s', () => {}],
    ['does not answer for 1 s', (response: ServerResponse) => void response.write('{')],
    [
      'cannot reach',
      (response: ServerResponse) => {
        response.writeHead(200, { 'Content-Length': 100 }).write('{');
        setTimeout(() => response.socket!.destroy(), 20);
      },
    ],
  ])('is asked again, and given up in the end: %s', async (problem, fail) => {
    const [alive, dead] = await Promise.all(
      [2, Number.POSITIVE_INFINITY].map((times) => hubServer(SMALL_MODEL, ID, { intercept: failing(times, fail) })),
    );
    const timeout = problem.endsWith('1 s') ? 1000 : 20_000;
    const ask = (hub: HubServer) => fetchHub(ID, { ...options(hub), timeout });
    const [message] = await Promise.all([fiddlerRejection('network', ask(dead!)), ask(alive!)]);
    expect(message).toContain(problem);
    expect(message).toContain('(3 attempts)');
    for (const { seen } of [alive!, dead!]) expect(seen.filter(({ path }) => path.startsWith('/api/'))).toHaveLength(3);
  });

  it('is waited for as long as it asks, if that is not too long', async () => {
    const begin = performance.now();
    const soon = failing(1, (response) => refuse(response, 429, undefined, { 'Retry-After': '1' }));
    await fetchHub(ID, options(await hubServer(SMALL_MODEL, ID, { intercept: soon })));
    expect(performance.now() - begin).toBeGreaterThan(990);
    const date = new Date(Date.now() + 3600_000).toUTCString();
    const { message, hub } = await refusal(
      'network',
      failing(9, (response) => refuse(response, 503, undefined, { 'Retry-After': date })),
    );
    expect(message).toMatch(/answers 503 Service Unavailable, and asks to wait 3(59\d|600) s;/);
    expect(hub.seen).toHaveLength(1);
  });

  it('that is not there is not asked again', async () => {
    const message = (endpoint: string) =>
      fiddlerRejection('network', fetchHub(ID, { ...options({ endpoint }), pause: 5000 }));
    expect(await message('http://127.0.0.1:1')).toContain('cannot reach 127.0.0.1:1');
    expect(await message('http://host.invalid')).toContain('cannot reach host.invalid: no ');
  });

  it('is left when a signal says so, even while it is waited for', async () => {
    for (const fail of [() => {}, (response: ServerResponse) => refuse(response, 503)]) {
      const hub = await hubServer(SMALL_MODEL, ID, { intercept: failing(9, fail) });
      const stop = new AbortController();
      const fetching = fetchHub(ID, { ...options(hub), pause: 60_000, timeout: 60_000, signal: stop.signal });
      setTimeout(() => stop.abort(new Error('enough')), 50);
      await expect(fetching).rejects.toThrow('enough');
    }
  });

  it('on one shard ends the requests for the others', async () => {
    const hub = await hubServer(shardedFolder(30), ID, {
      intercept: (request, response) => {
        if (!request.url!.endsWith('.safetensors')) return false;
        if (request.url!.endsWith('model-0.safetensors')) refuse(response, 403);
        return true; // the others are never answered
      },
    });
    expect(await fiddlerRejection('network', fetchHub(ID, { ...options(hub), timeout: 60_000 }))).toContain('403');
    expect(hub.seen.length).toBeLessThan(14);
    await vi.waitFor(() => expect(hub.running()).toBe(0));
  });
});
