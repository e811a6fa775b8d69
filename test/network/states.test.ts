import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Machine } from '../../src/loading/machine.js';
import { StateMemory } from '../../src/loading/parameters.js';
import { State } from '../../src/models/parameters.js';
import { api } from '../../src/native/ggml/api.js';
import { Resources } from '../../src/native/resources.js';
import { type Keeper, Kept } from '../../src/network/kept.js';
import { States, stateColumns } from '../../src/network/states.js';

const SLOTS = 3;
const SIZE = 2;
const resources = new Resources();
let machine: Machine;
let state: State;
let memory: StateMemory;
beforeAll(() => {
  resources.during(() => {
    machine = new Machine('none', { threads: 1 });
    state = new State(SIZE);
    memory = new StateMemory(machine.cpu, [state], SLOTS);
  });
});
afterAll(() => resources.free());

/** A made-up recurrent block: h = h / 2 + token. */
function recur(slot: number, tokens: readonly number[]): void {
  const h = read(slot);
  for (const token of tokens) for (let i = 0; i < SIZE; i++) h[i] = h[i]! / 2 + token;
  api().tensorSet(state.tensor.pointer, h, slot * SIZE * 4, SIZE * 4);
}

function read(slot: number): Float32Array {
  const h = new Float32Array(SIZE);
  api().tensorGet(state.tensor.pointer, h, slot * SIZE * 4, SIZE * 4);
  return h;
}

function after(tokens: readonly number[]): Float32Array {
  const h = new Float32Array(SIZE);
  for (const token of tokens) for (let i = 0; i < SIZE; i++) h[i] = h[i]! / 2 + token;
  return h;
}

const slot = fc.nat(SLOTS - 1);
const tokens = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 });
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('compute' as const), slot, tokens, marks: fc.boolean() }) },
    fc.record({ do: fc.constant('cancel' as const), slot, tokens }),
    fc.record({ do: fc.constant('go back' as const), slot, most: fc.nat(12) }),
    fc.record({ do: fc.constant('copy' as const), slot, to: slot, most: fc.nat(12) }),
    fc.record({ do: fc.constant('forget' as const), slot }),
  ),
  { maxLength: 40 },
);

describe('states of recurrent layers', () => {
  it('are those of exactly the tokens before a part, whatever was computed, cancelled, copied or forgotten', () => {
    fc.assert(
      fc.property(steps, (all) => {
        memory.clear();
        const states = new States(machine.cpu, [state], SLOTS);
        const texts: number[][] = Array.from({ length: SLOTS }, () => []);
        const begin = (s: number) => {
          const from = states.resumable(s, texts[s]!.length);
          expect(from).toBeLessThanOrEqual(texts[s]!.length);
          texts[s]!.length = from;
          states.begin(s, from);
          expect(read(s)).toEqual(after(texts[s]!));
        };
        for (const step of all) {
          const text = texts[step.slot]!;
          if (step.do === 'compute') {
            begin(step.slot);
            recur(step.slot, step.tokens);
            text.push(...step.tokens);
            states.computed(step.slot, text.length);
            if (step.marks) states.mark(step.slot);
            expect(states.resumable(step.slot, text.length)).toBe(text.length);
          } else if (step.do === 'cancel') {
            begin(step.slot);
            recur(step.slot, step.tokens);
          } else if (step.do === 'go back') text.length = Math.min(text.length, step.most);
          else if (step.do === 'copy' && step.to !== step.slot) {
            const count = states.resumable(step.slot, Math.min(step.most, text.length));
            states.copy(step.slot, step.to, count);
            texts[step.to] = text.slice(0, count);
            expect(states.resumable(step.to, count)).toBe(count);
          } else if (step.do === 'forget') {
            states.forget(step.slot);
            text.length = 0;
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('come back to the first mark and to the last, and to none that lies beyond what was kept', () => {
    const states = new States(machine.cpu, [state], SLOTS);
    for (const position of [0, 10, 20, 30]) {
      states.begin(0, position);
      states.computed(0, position + 10);
      states.mark(0);
    }
    expect([39, 29, 10, 9].map((most) => states.resumable(0, most))).toEqual([10, 10, 10, 0]);
    expect(states.resumable(0, 40)).toBe(40);
    states.begin(0, 10);
    expect([40, 10].map((most) => states.resumable(0, most))).toEqual([10, 10]);
    states.computed(0, 15);
    expect(states.resumable(0, 40)).toBe(15);
  });

  it('take a column for each sequence and each of its snapshots', () => {
    expect(state.tensor.ne).toEqual([SIZE, stateColumns(SLOTS), 1, 1]);
    expect(StateMemory.bytes([state], SLOTS)).toBe(state.tensor.bytes);
  });
});

it('where layers keep different things, a sequence goes on from where all can', () => {
  const every = (step: number): Keeper => {
    const resumable = (_: number, most: number) => most - (most % step);
    return { resumable, begin() {}, computed() {}, copy() {}, forget() {} };
  };
  const kept = new Kept([every(4), every(6)]);
  expect([25, 24, 23, 12, 11].map((most) => kept.resumable(0, most))).toEqual([24, 24, 12, 12, 0]);
  expect(kept.marked).toBe(false);
});
