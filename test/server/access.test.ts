import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { Access, isLoopback } from '../../src/server/access.js';
import { HttpError } from '../../src/server/errors.js';

const asked = (headers: Record<string, string>) => ({ headers }) as unknown as IncomingMessage;

/** The code with which it is refused. */
function refusal(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(HttpError);
    return (error as HttpError).code;
  }
}

describe('Access', () => {
  const local = new Access({ host: '127.0.0.1', keys: [], origins: [] });
  const named = new Access({ host: 'localhost', keys: [], origins: ['https://a.example'] });
  const everywhere = new Access({ host: '0.0.0.0', keys: [], origins: ['*'] });
  const [HOST, ORIGIN] = ['host_refused', 'origin_refused'];

  it.each<[headers: Record<string, string>, access: Access, code: string | undefined]>([
    [{ host: 'localhost:8080' }, local, undefined],
    [{ host: '127.0.0.1' }, local, undefined],
    [{ host: '[::1]:8080' }, local, undefined],
    [{ host: 'LOCALHOST' }, local, undefined],
    [{ host: 'app.localhost:80' }, local, undefined],
    [{ host: 'evil.example' }, local, HOST],
    [{ host: 'localhost.evil.example' }, local, HOST],
    [{ host: 'localhost:80:80' }, local, HOST],
    [{ host: 'evillocalhost' }, local, HOST],
    [{ host: '' }, local, HOST],
    [{}, local, HOST],
    [{ host: 'evil.example' }, everywhere, undefined],
    [{ host: 'localhost', origin: 'https://evil.example' }, local, ORIGIN],
    [{ host: 'localhost', origin: 'null' }, local, ORIGIN],
    [{ host: 'localhost:80', origin: 'http://localhost:81' }, local, ORIGIN],
    [{ host: 'localhost:81', origin: 'http://localhost:81' }, local, undefined],
    [{ host: 'localhost', origin: 'https://a.example' }, named, undefined],
    [{ host: 'localhost', origin: 'https://a.example.evil' }, named, ORIGIN],
    [{ host: 'x', origin: 'https://evil.example' }, everywhere, undefined],
  ])('%j', (headers, access, code) => {
    expect(refusal(() => access.checkOrigin(asked(headers)))).toBe(code);
  });

  it('takes any of its keys, in both headers, and nothing else', () => {
    const access = new Access({ host: 'x', keys: ['one', 'second key'], origins: [] });
    const check = (headers: Record<string, string>) => refusal(() => access.checkKey(asked(headers)));
    for (const key of ['one', 'second key']) {
      expect(check({ authorization: `Bearer ${key}` })).toBeUndefined();
      expect(check({ authorization: `bearer  ${key}` })).toBeUndefined();
      expect(check({ 'x-api-key': key })).toBeUndefined();
    }
    for (const key of ['', 'on', 'ones', 'One', 'one second key', 'second']) {
      expect(check({ authorization: `Bearer ${key}` })).toBe('invalid_api_key');
      expect(check({ 'x-api-key': key })).toBe('invalid_api_key');
    }
    expect(check({ authorization: 'Basic one' })).toBe('invalid_api_key');
    expect(check({})).toBe('invalid_api_key');
    expect(refusal(() => local.checkKey(asked({})))).toBeUndefined();
  });

  it('knows addresses that no other machine reaches', () => {
    expect(['localhost', '127.0.0.1', '127.3.2.1', '::1'].every(isLoopback)).toBe(true);
    expect(['0.0.0.0', '::', '192.168.0.1', 'localhost.example', '127.0.0.1.example'].some(isLoopback)).toBe(false);
  });
});
