import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openCpu } from '../../src/devices/accelerators.js';
import { floats } from '../../src/devices/device.js';
import { loadEngine } from '../../src/engine/load.js';
import { sinkhornConnection } from '../../src/models/blocks/sinkhorn-connection.js';
import type { Step } from '../../src/models/model.js';
import { Declarations } from '../../src/models/parameters.js';
import { api } from '../../src/native/ggml/api.js';
import { TensorContext, Type } from '../../src/native/ggml/tensor.js';
import { Threadpool } from '../../src/native/ggml/threadpool.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { changeTensor, readTensors } from '../support/model.js';
import { writeSafetensors } from '../support/safetensors.js';

const GOLDEN = 'test/golden/deepseek_v4';
const TABLE = 'model.layers.0.ffn.gate.tid2eid';
const OPTIONS = { accelerator: 'none', dtype: 'f32', ctx: 128, chunk: 7, threads: 1, profile: false } as const;

/** The golden model with another table of experts [vocabulary, 2]. */
function withTable(entry: (index: number) => number): string {
  const dir = temporaryFolder();
  writeFileSync(join(dir, 'config.json'), readFileSync(join(GOLDEN, 'config.json')));
  const change = changeTensor(TABLE, (tensor) => {
    const values = BigInt64Array.from({ length: 640 }, (_, i) => BigInt(entry(i)));
    return { ...tensor, data: new Uint8Array(values.buffer) };
  });
  writeSafetensors(join(dir, 'model.safetensors'), change(readTensors(join(GOLDEN, 'model.safetensors'))));
  return dir;
}

describe('a layer that chooses experts by tokens', () => {
  const entry = (index: number) => (index * 5 + (index >> 3)) % 8;
  const tokens = Array.from({ length: 20 }, (_, i) => (i * 37 + 11) % 320);

  it('has those of its table, in prefill and in decoding', () => {
    const session = loadEngine(withTable(entry), OPTIONS);
    const found: number[][] = [];
    session.observeRouters((layer, _, __, { experts, chosen, tokens: count }) => {
      for (let t = 0; layer === 0 && t < count; t++) found.push([...experts.subarray(t * chosen, (t + 1) * chosen)]);
    });
    try {
      session.step(tokens.slice(0, 18), 0);
      session.step(tokens.slice(18, 19), 18);
      session.step(tokens.slice(19), 19);
    } finally {
      session.close();
    }
    const expected = tokens.map((token) => [entry(2 * token), entry(2 * token + 1)]);
    for (const [first, second] of expected) expect(first).not.toBe(second);
    expect(found).toEqual(expected);
  });

  it.each([8, -1])('is refused where its table names expert %d of 8', (wrong) => {
    const dir = withTable((i) => (i === 77 ? wrong : 0));
    expect(fiddlerError('file', () => loadEngine(dir, OPTIONS))).toContain(`layers.0.ffn.gate.tid2eid holds ${wrong},`);
  });
});

describe('a connection between streams', () => {
  const cpu = openCpu();
  const pool = new Threadpool(cpu.pointer, 1, false);
  pool.attach(cpu.compute);
  const contexts: TensorContext[] = [];
  afterAll(() => {
    cpu.free();
    pool.free();
    for (const context of contexts) context.free();
  });
  const [HIDDEN, TOKENS] = [24, 3];
  const numbers = (count: number, seed: number) =>
    Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 12.9898 * seed));

  /** What the block reads, and the streams once its result is there. */
  function run(supports: Step['supports']) {
    const declare = new Declarations();
    const sizes = { hidden: HIDDEN, epsilon: 1e-6, divisorEpsilon: 1e-6, iterations: 20 };
    const { read, write } = sinkhornConnection(declare, 'hc', sizes);
    const context = new TensorContext(8);
    contexts.push(context);
    for (const each of declare.parameters) {
      const [outer, inner] = each.shape.length === 2 ? each.shape : [1, each.shape[0]];
      each.tensor = context.tensor(Type.F32, inner!, outer!);
    }
    const x = context.tensor(Type.F32, 4 * HIDDEN, TOKENS);
    const result = context.tensor(Type.F32, HIDDEN, TOKENS);
    const [input, streams] = [context.tensor(Type.F32, HIDDEN, TOKENS), context.tensor(Type.F32, 4 * HIDDEN, TOKENS)];
    cpu.allocate(context, 'a test');
    for (const [i, { pointer, bytes }] of [...declare.parameters.map(({ tensor }) => tensor), x, result].entries()) {
      api().tensorSet(pointer, numbers(bytes / 4, i + 1), 0, bytes);
    }
    cpu.once(2048, (g) => {
      const first = read(g, x, supports);
      g.compute(g.copy(first.input, input));
      g.compute(g.copy(write(g, x, result, first.weights, supports), streams));
    });
    return [...floats(input), ...floats(streams)];
  }

  it('is the same by single operations where a device lacks those for it', () => {
    const whole = run((operation) => cpu.compute.supports(operation));
    const single = run(() => false);
    expect(whole).toHaveLength(5 * HIDDEN * TOKENS);
    expect(Math.max(...whole.map(Math.abs))).toBeGreaterThan(0.1);
    for (const [i, value] of single.entries()) expect(value).toBeCloseTo(whole[i]!, 5);
  });
});
