import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { load } from '#fiddler/index.js';
import { SMALL_MODEL } from '../support/model.js';

const OPTIONS = { accelerator: 'host', dtype: 'f32', ctx: 64, expertsResident: 0.5, threads: 1 } as const;

/** Mapped weights and threads of this process. */
function held(): { weights: number; threads: number } {
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
  return {
    weights: maps.filter((line) => line.endsWith('.safetensors')).length,
    threads: readdirSync('/proc/self/task').length,
  };
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail('it did not fail'),
    (error) => error,
  );
}

/** Threads end a moment after what waits for them. */
async function expectFreed(before: ReturnType<typeof held>): Promise<void> {
  for (let i = 0; i < 1000 && held().threads > before.threads; i++) await sleep(20);
  expect(held()).toEqual(before);
}

it.skipIf(process.platform !== 'linux')('frees what a load took that is ended at any stage', async () => {
  const model = await load(SMALL_MODEL, OPTIONS); // rates are stored, and the first thread of its kind was there
  let events = 0;
  await model.close();
  await (await load(SMALL_MODEL, { ...OPTIONS, onProgress: () => events++ })).close();
  expect(events).toBeGreaterThan(10);
  const before = held();
  for (let at = 1; at <= events; at += Math.ceil(events / 5)) {
    const mine = new Error('mine');
    let n = 0;
    const onProgress = () => {
      if (++n === at) throw mine;
    };
    expect(await rejection(load(SMALL_MODEL, { ...OPTIONS, onProgress }))).toBe(mine);
    await expectFreed(before);
  }
  for (const ms of [0, 30, 100, 200, 300]) {
    const controller = new AbortController();
    const loading = load(SMALL_MODEL, { ...OPTIONS, signal: controller.signal });
    setTimeout(() => controller.abort(new Error(`after ${ms} ms`)), ms);
    const loaded = await loading.catch((error: Error) => error);
    if (loaded instanceof Error) expect(loaded.message).toBe(`after ${ms} ms`);
    else await loaded.close();
    await expectFreed(before);
  }
});

it('answers the same behind readers that break off or fail, and functions that throw', async () => {
  const model = await load(SMALL_MODEL, OPTIONS);
  const answer = async () => {
    const tokens: number[] = [];
    for await (const { token } of model.generate([5, 17, 42], { temperature: 0, maxTokens: 8 }).tokens())
      tokens.push(token);
    return tokens;
  };
  const right = await answer();
  for await (const _ of model.generate([5, 17, 9], { maxTokens: 40 }).tokens()) break;
  expect(await answer()).toEqual(right);
  const failing = async () => {
    for await (const _ of model.score([5, 17, 9, 4])) throw new Error('mine');
  };
  expect(await rejection(failing())).toMatchObject({ message: 'mine' });
  expect(await answer()).toEqual(right);
  const onProgress = () => {
    throw new Error('mine');
  };
  expect(await rejection(model.profile([[1, 2, 3]], { onProgress }))).toMatchObject({ message: 'mine' });
  expect(await answer()).toEqual(right);
  await model.close();
});
