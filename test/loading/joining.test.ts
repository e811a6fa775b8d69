import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { JOINED_TENSORS, joinProjections } from '../../src/loading/joining.js';
import { Machine } from '../../src/loading/machine.js';
import { linears } from '../../src/models/blocks/linear.js';
import { Declarations, Joined, type Parameter } from '../../src/models/parameters.js';
import { Graph } from '../../src/native/ggml/graph.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { Resources } from '../../src/native/resources.js';
import type { LoadOptions } from '../../src/options.js';

const { F16, Q8_0 } = Type;
const SIZES = { q: 32, k: 16, v: 8 };

/** Three projections of vectors of 64 numbers, in these types, as far as they are copied. */
function joined(types: (Type | undefined)[], { alignment = 1, bias = false } = {}) {
  new Machine('none', { threads: 1 }); // loads ggml
  const declare = new Declarations();
  const named = Object.entries(SIZES).map(([name, out]) => ({ name, out }));
  linears(declare, named, 64, { bias });
  const matrices = declare.parameters.filter(({ precision }) => precision === 'matrix');
  const copied = declare.parameters.flatMap((p): [Parameter, Type][] => {
    const type = p.precision === 'exact' ? Type.F32 : types[matrices.indexOf(p)];
    return type === undefined ? [] : [[p, type]];
  });
  const context = new TensorContext(declare.parameters.length + JOINED_TENSORS * declare.joined.length);
  const placed = joinProjections(context, declare.joined, new Map(copied), alignment);
  return { group: declare.joined[0]!, context, placed: [...placed].map(({ name }) => name) };
}

describe('projections of the same vectors', () => {
  const resources = new Resources();
  const within = <T>(run: () => T) => resources.during(run);
  afterEach(() => resources.free());

  it('are one matrix where all have one type', () => {
    const { group, placed } = within(() => joined([Q8_0, Q8_0, Q8_0]));
    expect(placed).toEqual(['q.weight', 'k.weight', 'v.weight']);
    expect(group.weight).toMatchObject({ type: Q8_0, ne: [64, 56, 1, 1] });
    expect(group.parts.map(({ weight }) => weight.tensor.ne)).toEqual([
      [64, 32, 1, 1],
      [64, 16, 1, 1],
      [64, 8, 1, 1],
    ]);
  });

  it('are so with their biases', () => {
    const { group, placed, context } = within(() => joined([F16, F16, F16], { bias: true }));
    expect(placed).toHaveLength(6);
    expect(group.bias).toMatchObject({ type: Type.F32, ne: [56, 1, 1, 1] });
    expect(group.parts.map(({ bias }) => bias!.tensor.ne[0])).toEqual([32, 16, 8]);
    expect(context.tensors).toEqual([group.weight, group.bias]);
  });

  it.each([
    ['values of another type stay alone', [F16, F16, Q8_0], ['q.weight', 'k.weight']],
    ['queries of another type leave none', [Q8_0, F16, F16], []],
    ['what is computed where it lies in a file is none', [F16, undefined, F16], []],
  ])('%s', (_, types, expected) => {
    const { group, placed, context } = within(() => joined(types));
    expect(placed).toEqual(expected);
    expect(group.count).toBe(expected.length);
    expect(group.weight !== undefined).toBe(expected.length > 0);
    expect(context.tensors).toHaveLength(expected.length > 0 ? 1 : 0);
  });

  it('begin at multiples of the alignment, in the matrix and in what is projected', () => {
    const all = [Q8_0, Q8_0, Q8_0];
    expect(within(() => joined(all, { alignment: 32 })).placed).toHaveLength(3);
    // The values' 8 floats are half of that, and the keys' 16 are all.
    expect(within(() => joined(all, { alignment: 64 })).placed).toEqual(['q.weight', 'k.weight']);
    expect(within(() => joined(all, { alignment: 256 })).placed).toEqual([]);
  });
});

describe('a loaded model', () => {
  const load = { accelerator: 'host', dtype: 'f32', ctx: 64, threads: 1, expertsResident: 0 } as const;

  /** Logits of all tokens, and the products of which the graphs of the second call consist. */
  function evaluated(model: string, options: LoadOptions = load): { logits: number[]; products: number } {
    const session = loadEngine(`test/golden/${model}`, options);
    const products = vi.spyOn(Graph.prototype, 'matmul');
    const logits: number[] = [];
    const evaluate = (tokens: number[]) =>
      session.evaluate(
        tokens,
        () => false,
        (_, row) => logits.push(...row),
      );
    try {
      evaluate([1, 5, 17, 80, 3, 9, 44, 2, 61]);
      products.mockClear();
      evaluate([7, 3, 30, 12, 8]);
      return { logits, products: products.mock.calls.length };
    } finally {
      products.mockRestore();
      session.close();
    }
  }

  function evaluatedAlone(model: string, options?: LoadOptions) {
    const together = vi.spyOn(Declarations.prototype, 'together').mockImplementation((parts) => new Joined(parts));
    try {
      return evaluated(model, options);
    } finally {
      together.mockRestore();
    }
  }

  function distance(a: readonly number[], b: readonly number[]): number {
    expect(a).toHaveLength(b.length);
    return Math.max(...a.map((n, i) => Math.abs(n - b[i]!))) / Math.max(...a.map(Math.abs));
  }

  it.each([
    ['mixtral', 2],
    ['gpt_oss', 2],
    ['qwen3_next', 1],
  ])('computes with fewer products what it does with each alone: %s', (model, layers) => {
    const [alone, together] = [evaluatedAlone(model), evaluated(model)];
    expect(together.products).toBe(alone.products - 2 * layers);
    expect(distance(alone.logits, together.logits)).toBeLessThan(1e-6);
  });

  it('computes each alone on the CPU, and the same', () => {
    const options = { ...load, accelerator: 'none' } as const;
    const none = evaluated('mixtral', options);
    expect(none.products).toBe(evaluatedAlone('mixtral', options).products);
    expect(distance(none.logits, evaluated('mixtral').logits)).toBeLessThan(1e-6);
  });
});
