import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FiddlerError } from '../../src/errors.js';
import type { GeneratedToken, ModelInfo } from '../../src/report.js';
import { EngineThread } from '../../src/thread/client.js';
import { Control } from '../../src/thread/control.js';
import { Model } from '../../src/thread/model.js';
import type { LoadEvent } from '../../src/thread/protocol.js';

// First prompt tokens, as fake-thread.mjs reads them.
const [ECHO, ENDLESS, NUMERIC, MISTAKE, DEATH] = [0, 1, 2, 3, 4] as const;

let thread: EngineThread;
let model: Model;

beforeEach(async () => {
  thread = new EngineThread(new URL('./fake-thread.mjs', import.meta.url));
  model = new Model('fake', thread, await thread.call('load', { dir: 'fake', options: {} }));
});
afterEach(() => model.close());

async function rejection(promise: Promise<unknown>): Promise<Error & Partial<FiddlerError>> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (error) => error,
  );
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe('loading', () => {
  it('gives what was loaded, with progress and warnings on the way', async () => {
    const events: LoadEvent[] = [];
    const options = { accelerator: 'host', threads: 3 } as const;
    const info: ModelInfo = await thread.call('load', { dir: 'm', options }, { onItem: (event) => events.push(event) });
    expect(info.name).toBe('m');
    expect(events).toEqual([
      { warning: 'loading m with {"accelerator":"host","threads":3}' },
      { done: 0, total: 3 },
      { done: 1, total: 3 },
      { done: 2, total: 3 },
    ]);
  });

  it('ends when its signal says so', async () => {
    const controller = new AbortController();
    const onItem = (event: LoadEvent) => 'done' in event && event.done === 5 && controller.abort();
    const loading = thread.call('load', { dir: 'endless', options: {} }, { onItem, signal: controller.signal });
    expect(await rejection(loading)).toMatchObject({ code: 'usage', problem: 'loading was ended' });
  });
});

describe('a call that has ended', () => {
  it('is told nothing any more, nor is the one that came after it', async () => {
    const [first, second] = [new Control(Number.POSITIVE_INFINITY), new Control(Number.POSITIVE_INFINITY)];
    await thread.call('generate', { prompt: [ECHO], options: {} }, { control: first });
    let tokens = 0;
    const onItem = () => {
      if (++tokens === 5) first.end();
      if (tokens === 20) second.end();
    };
    const endless = thread.call('generate', { prompt: [ENDLESS], options: {} }, { onItem, control: second });
    expect(await endless).toMatchObject({ finish: 'aborted' });
    expect(tokens).toBeGreaterThanOrEqual(20);
  });

  it('frees the masks that were to hold it, though it never began', async () => {
    const { port1: mine, port2: port } = new MessageChannel();
    const closed = new Promise((resolve) => mine.once('close', resolve));
    const constraint = { memory: new SharedArrayBuffer(16), port, isWhole: false };
    const failed = thread.call('generate', { prompt: [], options: {}, constraint }, { transfer: [port] });
    expect(await rejection(failed)).toMatchObject({ code: 'usage', problem: 'the prompt is empty' });
    await closed;
  });

  it('makes nothing after what its caller threw', async () => {
    let calls = 0;
    const onItem = () => {
      calls++;
      throw new Error('enough');
    };
    const failed = thread.call('generate', { prompt: [ENDLESS], options: {} }, { onItem });
    expect(await rejection(failed)).toMatchObject({ message: 'enough' });
    await thread.call('generate', { prompt: [ECHO], options: {} });
    expect(calls).toBe(1);
  });
});

describe('what fails in loading and closing', () => {
  it('frees a model whose warm-up failed, and says why it did', async () => {
    delete process.env.FAKE_CLOSED;
    const error = await rejection(thread.call('load', { dir: 'cold', options: {} }));
    expect(error).toMatchObject({ code: 'memory', problem: 'no memory to compute' });
    expect(process.env.FAKE_CLOSED).toBe('yes');
  });

  it('is said by close, once the thread is gone', async () => {
    await thread.call('load', { dir: 'stuck', options: {} });
    expect(await rejection(model.close())).toMatchObject({
      code: 'internal',
      problem: expect.stringContaining('it cannot be freed'),
    });
    thread = new EngineThread(new URL('./fake-thread.mjs', import.meta.url));
    model = new Model('fake', thread, await thread.call('load', { dir: 'fake', options: {} }));
  });

  it("is a caller's own function: its error ends the call, and the thread goes on", async () => {
    const mine = new Error('mine');
    const onItem = () => {
      throw mine;
    };
    expect(await rejection(thread.call('load', { dir: 'endless', options: {} }, { onItem }))).toBe(mine);
    expect(await rejection(thread.call('score', { prompt: [1, 2], logprobs: 0 }, { onItem }))).toBe(mine);
    expect(await collect(model.generate([ECHO]).tokens())).toHaveLength(1);
  });
});

describe('generating', () => {
  it('gives each token with its likeliest ones, and the report', async () => {
    const generation = model.generate([ECHO, 5, 6], { logprobs: 1 });
    expect(await collect(generation.tokens())).toEqual(
      [0, 5, 6].map((token) => ({ token, text: '', top: [{ token, logprob: 0 }] })),
    );
    expect(await generation.report).toEqual({ finish: 'length', promptTokens: 3 });
  });

  it('does one call after the other', async () => {
    const order: string[] = [];
    const first = model.generate([ECHO, 1]).report.then(() => order.push('first'));
    const second = model.score([1, 2]).report.then(() => order.push('second'));
    await Promise.all([first, second]);
    expect(order).toEqual(['first', 'second']);
  });

  it('ends by its signal while the thread is busy, and normally', async () => {
    const controller = new AbortController();
    const generation = model.generate([ENDLESS], { signal: controller.signal });
    let count = 0;
    for await (const _ of generation.tokens()) if (++count === 3) controller.abort();
    expect((await generation.report).finish).toBe('aborted');
    expect(count).toBeGreaterThanOrEqual(3);
  });

  it('does not start when its signal was given before', async () => {
    const generation = model.generate([ENDLESS], { signal: AbortSignal.abort() });
    expect(await collect(generation)).toEqual([]);
    expect((await generation.report).finish).toBe('aborted');
  });

  it('ends when its reader leaves', async () => {
    const generation = model.generate([ENDLESS]);
    for await (const _ of generation.tokens()) break;
    expect((await generation.report).finish).toBe('aborted');
  });
});

describe('scoring', () => {
  it('gives each position', async () => {
    const scoring = model.score([7, 8], { logprobs: 2 });
    expect(await collect(scoring)).toEqual([
      { position: 0, token: 7, logprob: -2, text: '' },
      { position: 1, token: 8, logprob: -2, text: '' },
    ]);
    expect((await scoring.report).promptTokens).toBe(2);
  });
});

describe('errors', () => {
  it('cross threads as they are, with the stack of the thread', async () => {
    const error = await rejection(collect(model.generate([NUMERIC])));
    expect(error).toBeInstanceOf(FiddlerError);
    expect(error).toMatchObject({
      code: 'numeric',
      problem: 'the logits are not numbers',
      remedy: 'use other weights',
    });
    expect(error.stack).toContain('fake-thread.mjs');
  });

  it('that nobody threw on purpose are mistakes of this program', async () => {
    const error = await rejection(model.generate([MISTAKE]).report);
    expect(error).toBeInstanceOf(FiddlerError);
    expect(error).toMatchObject({ code: 'internal', problem: 'internal error: a mistake' });
  });

  it('leave the thread ready for more', async () => {
    await rejection(model.generate([NUMERIC]).report);
    expect(await collect(model.generate([ECHO]).tokens())).toHaveLength(1);
  });

  it('that nobody waits for do not end the process', async () => {
    const unhandled: unknown[] = [];
    const listener = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', listener);
    model.generate([NUMERIC]);
    await model.generate([ECHO]).report;
    await new Promise(setImmediate);
    process.off('unhandledRejection', listener);
    expect(unhandled).toEqual([]);
  });

  it('name text for a model without a tokenizer, stop texts too, and an empty prompt', async () => {
    expect(await rejection(model.generate('text').report)).toMatchObject({
      code: 'usage',
      problem: expect.stringMatching(/no tokenizer/),
    });
    const stop = rejection(model.generate([ECHO], { stop: ['.'] }).report);
    expect(await stop).toMatchObject({ code: 'usage', problem: expect.stringMatching(/cannot stop at a text/) });
    expect(await rejection(model.generate([]).report)).toMatchObject({ code: 'usage', problem: 'the prompt is empty' });
    expect(await rejection(model.encode('text'))).toMatchObject({ code: 'usage' });
  });

  it('say that the thread died, to what runs, what waits and what comes', async () => {
    const running = rejection(model.generate([DEATH]).report);
    const waiting = rejection(model.generate([ECHO]).report);
    for (const error of [await running, await waiting, await rejection(model.generate([ECHO]).report)])
      expect(error).toMatchObject({ code: 'device', problem: 'the engine thread died' });
  });
});

describe('closing', () => {
  it('ends what runs and what waits, and frees the engine', async () => {
    delete process.env.FAKE_CLOSED;
    const running: GeneratedToken[] = [];
    const generation = model.generate([ENDLESS]);
    const waiting = model.generate([ENDLESS]);
    for await (const token of generation.tokens()) {
      running.push(token);
      if (running.length === 2) await model.close();
    }
    expect((await generation.report).finish).toBe('aborted');
    expect((await waiting.report).finish).toBe('aborted');
    expect(process.env.FAKE_CLOSED).toBe('yes'); // the environment is shared with the thread
  });

  it('refuses what comes later, and may be repeated', async () => {
    await model.close();
    await model.close();
    expect(await rejection(model.generate([ECHO]).report)).toMatchObject({
      code: 'usage',
      problem: 'the model is closed',
    });
  });
});
