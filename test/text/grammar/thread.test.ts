import { setTimeout } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Grammars } from '../../../src/text/grammar/grammars.js';

/** Stands in for the grammar engine: a grammar's text says what becomes of it. */
const SCRIPT = `
import { parentPort, threadId } from 'node:worker_threads';
console.log('nobody reads this');
parentPort.on('message', ({ held, port, memory }) => {
  const { outline: { grammar } } = JSON.parse(held);
  if (grammar === 'endless') for (;;);
  if (grammar === 'broken') throw new Error('unreachable');
  new Int32Array(memory)[2] = threadId;
  setTimeout(() => parentPort.postMessage(grammar === 'wrong' ? { problem: 'it is wrong' } : {}), 300);
});
`;
const script = new URL(`data:text/javascript,${encodeURIComponent(SCRIPT)}`);
const make = () => new Grammars({ dir: '', vocabulary: 32, ends: [] }, script, { one: 3000, first: 20_000 });
let grammars = make();
afterEach(() => {
  grammars.close();
  grammars = make();
});

const held = (grammar: string) => grammars.constrain({ type: 'grammar', grammar });
const stateOf = (memory: SharedArrayBuffer) => new Int32Array(memory, 0, 2)[1];
const threadOf = (memory: SharedArrayBuffer) => new Int32Array(memory)[2];

/** What becomes of grammars that are asked for at once, each answer ended as soon as it is there. */
async function outcomes(...titles: string[]): Promise<string[]> {
  const results = await Promise.allSettled(titles.map(async (title) => grammars.release(await held(title))));
  return results.map((result) => (result.status === 'fulfilled' ? 'kept' : result.reason.problem.split(': ')[1]));
}

describe('grammars that are asked for at once', () => {
  it('have each a time of their own, and outlive one that ends its thread', async () => {
    const many = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    expect(await outcomes(...many)).toEqual(many.map(() => 'kept'));
    expect(await outcomes('a', 'endless', 'b', 'wrong', 'broken', 'c')).toEqual([
      ...['kept', 'it takes longer than 3 s', 'kept', 'it is wrong', 'unreachable', 'kept'],
    ]);
  });

  it('are compiled once where they are the same, and have its thread', async () => {
    const all = await Promise.all(['a', 'a', 'b', 'a'].map(held));
    const [first, second, other, third] = all.map(({ memory }) => threadOf(memory));
    expect([second, third]).toEqual([first, first]);
    expect(other).not.toBe(first);
  });

  it('wait where every thread has answers, and begin once one is free', async () => {
    const four = await Promise.all(['a', 'b', 'c', 'd'].map(held));
    let begun = false;
    const fifth = held('e').then((constraint) => {
      begun = true;
      return constraint;
    });
    await setTimeout(500);
    expect(begun).toBe(false);
    grammars.release(four[2]!);
    expect(threadOf((await fifth).memory)).toBe(threadOf(four[2]!.memory));
  });

  it('are all refused once the model is closed', async () => {
    const asked = outcomes('endless', 'a');
    grammars.close();
    expect(await asked).toEqual(['the model was closed', 'the model was closed']);
  });
});

describe('answers that are held to a grammar', () => {
  it('go on while others take too long, or break the engine', async () => {
    const { memory } = await held('a');
    await outcomes('b'); // has a thread started
    expect(await outcomes('endless', 'broken')).toEqual(['it takes longer than 3 s', 'unreachable']);
    expect(stateOf(memory)).toBe(0);
  });

  it('are told where their own thread ends', async () => {
    const { memory } = await held('a');
    grammars.close();
    expect(stateOf(memory)).toBe(2);
  });
});
