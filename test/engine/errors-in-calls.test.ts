import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { Workbench } from '../../src/engine/workbench.js';
import { NO_COSTS } from '../../src/experts/costs.js';
import { policyNamed } from '../../src/experts/policies/index.js';
import { boundCalls } from '../../src/native/calls.js';
import { fiddlerError } from '../support/errors.js';

const PROMPT = [5, 17, 42, 7, 99];
const never = () => false;
let session: Workbench;

beforeEach(() => {
  session = loadEngine('test/golden/mixtral', {
    accelerator: 'host',
    dtype: 'f32',
    ctx: 64,
    expertsResident: 0.5,
    cpuKernels: 'auto',
    threads: 1,
  });
  session.use(policyNamed('lanes'), { ...NO_COSTS, cpu: () => 1, copy: 1, accelerator: () => 1, overlap: true });
});
afterEach(() => session.close());

function answer(): number[] {
  const found: number[] = [];
  const options = { temperature: 0, maxTokens: 6, logprobs: 1 };
  session.generate(PROMPT, options, (_, top) => found.push(top![0]!.logprob) < 0, never);
  return found;
}

/** The n-th call of ggml's or the kernels' function `name` from now on throws, and with `always` all later ones. */
function failAt(name: string, n: number, always = false): () => void {
  const { calls } = boundCalls().find((table) => name in table.calls)!;
  const before = calls[name]!;
  calls[name] = (...args) => {
    n--;
    if (always ? n <= 0 : n === 0) throw new TypeError('it failed');
    return before(...args);
  };
  return () => {
    calls[name] = before;
  };
}

it.each(['tensorSetAsync', 'computeAsync', 'synchronize', 'tensorGetAsync', 'expand'])(
  'an error in %s leaves nothing behind',
  (name) => {
    const right = answer();
    for (let n = 1; n < 40; n += 3) {
      const restore = failAt(name, n);
      fiddlerError('internal', () => {
        // A call of the model makes few of some, and none that builds graphs where they are kept.
        for (;;) {
          answer();
          session.forgetSequences();
        }
      });
      restore();
      const after = answer();
      after.forEach((logprob, i) => {
        expect(logprob).toBeCloseTo(right[i]!, 4);
      });
    }
  },
);

it('an error clears the KV cache: a row that is not numbers would outlive its mask', () => {
  const { calls } = boundCalls().find((table) => 'bufferClear' in table.calls)!;
  const clear = calls.bufferClear!;
  const cleared: unknown[] = [];
  calls.bufferClear = (buffer, value) => {
    cleared.push(value);
    clear(buffer, value);
  };
  const restore = failAt('computeAsync', 3);
  fiddlerError('internal', answer);
  restore();
  calls.bufferClear = clear;
  expect(cleared).toEqual([0]);
});

it('a model that cannot be made ready again is closed, and says so', () => {
  answer();
  const restore = failAt('synchronize', 3, true);
  fiddlerError('internal', answer);
  restore();
  expect(fiddlerError('device', answer)).toContain('the model was closed');
  expect(fiddlerError('device', () => session.score(PROMPT, 0, () => {}, never))).toContain('the model was closed');
});
