import { getEventListeners } from 'node:events';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Model, Report } from '../../src/index.js';
import { merge } from '../../src/server/merge.js';
import { Service } from '../../src/server/service.js';
import { Generation } from '../../src/thread/generation.js';

/** A service whose generations last until they are told to end. */
function service(parallel: number) {
  const ends: ((error?: Error) => void)[] = [];
  const generate = () =>
    new Generation(
      (onItem) =>
        new Promise<Report>((resolve, reject) => {
          onItem({ token: 1, text: 'a' });
          ends.push((error) => (error ? reject(error) : resolve({ finish: 'end' } as Report)));
        }),
    );
  const options = { parallel, queue: 8, aliases: [], logPrompts: false };
  const made = new Service(options, pino({ level: 'silent' }));
  made.loaded({ info: { context: 10 }, chatTemplate: async () => '', generate } as unknown as Model);
  const answer = async (count: number, signal = new AbortController().signal) => {
    const prompts = async () => Array.from({ length: count }, () => [1]);
    return (await made.answer({ count, signal }, prompts, () => ({}))).answers;
  };
  return { answer, ends, admission: made.admission };
}

const soon = () => new Promise(setImmediate);

describe('an answer that waits for its place', () => {
  it('is not started where another of its request fails', async () => {
    const { answer, ends, admission } = service(1);
    const reading = (async () => {
      for await (const _ of merge(await answer(3)));
    })();
    await soon();
    expect([ends.length, admission.running, admission.waiting]).toEqual([1, 1, 2]);
    ends[0]!(new Error('it failed'));
    await expect(reading).rejects.toThrow('it failed');
    await soon();
    expect([ends.length, admission.running, admission.waiting]).toEqual([1, 0, 0]);
  });

  it('is not started where it was ended as its place came, or before it was read', async () => {
    const { answer, ends, admission } = service(1);
    const [first, second] = await answer(2);
    const coming = second!.next();
    const ended = [first!, second!].map((each) => each.return({} as Report)); // the second has the first's place
    await Promise.allSettled([coming, ...ended]);
    await soon();
    expect([ends.length, admission.running, admission.waiting]).toEqual([0, 0, 0]);
  });

  it('leaves nothing on the signal of its request', async () => {
    const { answer, ends } = service(1);
    const { signal } = new AbortController();
    const [first, second] = await answer(2, signal);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await first!.next();
    ends[0]!();
    await first!.next();
    await second!.return({} as Report);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('keeps its place where it runs, until it has ended', async () => {
    const { answer, ends, admission } = service(1);
    const [first] = await answer(1);
    await first!.next();
    const coming = first!.next();
    const ended = first!.return({} as Report);
    await soon();
    expect([ends.length, admission.running]).toEqual([1, 1]);
    ends[0]!();
    await Promise.all([coming, ended]);
    expect(admission.running).toBe(0);
  });
});
