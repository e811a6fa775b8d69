import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fiddler } from '../cli/fiddler.js';
import { post, serve } from './process.js';

const LONG = { prompt: 'Once', max_tokens: 2000, ignore_eos: true, temperature: 0 };

async function started(...args: string[]) {
  const served = await serve(...args);
  onTestFinished(() => served.stop());
  return served;
}

/** Waits until so many answers are generated, and wait. */
async function busy(url: string, running: number, waiting = 0): Promise<void> {
  for (;;) {
    const text = await (await fetch(`${url}/metrics`)).text();
    if (text.includes(`fiddler_running ${running}\n`) && text.includes(`fiddler_waiting ${waiting}\n`)) return;
    await setTimeout(5);
  }
}

/** Waits until the server says that it ends. */
async function ending(url: string): Promise<Response> {
  for (;;) {
    const response = await fetch(`${url}/health`);
    if (response.status === 503) return response;
    await setTimeout(5);
  }
}

describe('SIGTERM', () => {
  it('lets what runs finish, turns away what waits and what comes, and ends the process', async () => {
    const served = await started('--parallel', '1');
    const running = post(`${served.base}/completions`, { ...LONG, max_tokens: 400 });
    await busy(served.url, 1);
    const waiting = post(`${served.base}/completions`, LONG);
    await busy(served.url, 1, 1);
    served.child.kill('SIGTERM');
    const health = await ending(served.url);
    expect(await health.json()).toMatchObject({ error: { message: 'the server is ending' } });
    const late = await post(`${served.base}/completions`, LONG);
    for (const refused of [await waiting, late]) {
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    const finished = await running;
    expect(finished.status).toBe(200);
    expect(await finished.json()).toMatchObject({ usage: { completion_tokens: 400 } });
    expect(await served.ended).toBe(0);
    expect(served.stderr()).not.toContain('"level":'); // none of these is a fault
    expect(served.stdout()).toMatch(
      /FIDDLER v[\d.]+ {2}ready in \d+ ms\n\n.*URL: .*\n.*Model: .*\n.*Plan: .*\n.*Resident: /,
    );
  });

  it('ends what takes longer than it may, and says so', async () => {
    const served = await started('--drain', '0.2s');
    const running = await post(`${served.base}/completions`, { ...LONG, stream: true });
    served.child.kill('SIGTERM');
    const text = await running.text();
    expect(text).toMatch(/data: {"error":{"message":"the server is ending".*}}\n\n$/);
    expect(await served.ended).toBe(0);
  });
});

describe('Ctrl-C', () => {
  it('pressed twice ends at once', async () => {
    const served = await started();
    const running = post(`${served.base}/completions`, LONG).catch(() => 'broken off');
    await busy(served.url, 1);
    served.child.kill('SIGINT');
    await ending(served.url);
    served.child.kill('SIGINT');
    await served.ended;
    expect(served.child.signalCode).toBe('SIGINT');
    expect(await running).toBe('broken off');
  });
});

describe('a server that cannot begin', () => {
  it('says in one line why: a port that is taken, a file without keys', async () => {
    const served = await started();
    const { port } = new URL(served.url);
    const taken = await fiddler(['serve', '--port', port]);
    expect(taken).toMatchObject({ code: 2, stdout: '' });
    expect(taken.stderr).toMatch(/^fiddler: cannot listen on 127.0.0.1, port \d+: the port is taken; .*\n$/);
    const keys = await fiddler(['serve', '--port', '0', '--api-key-file', '/dev/null']);
    expect(keys).toMatchObject({ code: 2, stdout: '' });
    expect(keys.stderr).toMatch(/^fiddler: \/dev\/null has no key; .*\n$/);
  });
});
