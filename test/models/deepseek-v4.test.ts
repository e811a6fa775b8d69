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
import { largest, logitsOf } from '../engine/evaluated.js';
import { fiddlerError } from '../support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { E4M3, toBf16 } from '../support/fp8.js';
import { changeTensor, readTensors } from '../support/model.js';
import { numbersFrom } from '../support/numbers.js';
import { type TensorToWrite, writeSafetensors } from '../support/safetensors.js';

const GOLDEN = 'test/golden/deepseek_v4';
const TABLE = 'model.layers.0.ffn.gate.tid2eid';
/** Rows and columns of a block of FP8 numbers. */
const BLOCK = 16;
/** MXFP4's numbers (OCP Microscaling Formats 1.0). */
const POSITIVE = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
const E2M1 = [...POSITIVE, ...POSITIVE.map((value) => -value)];
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

describe('a checkpoint as it is published', () => {
  /** Matrices that are published in FP8 with a power of two for each block. */
  const IN_FP8 = /\.(wq_a|wq_b|wkv|wo_a|wo_b|shared_experts\.w\d)\.weight$/;
  const IN_MXFP4 = /\.experts\.\d+\.w\d\.weight$/;
  const draw = numbersFrom(11);
  const byte = () => Math.floor(draw() * 256);

  /** A tensor in its type, and the same numbers in bf16. */
  function packed({ name, shape, ...tensor }: TensorToWrite): { stored: TensorToWrite[]; same: TensorToWrite } {
    const scale = name.replace(/\.weight$/, '.scale');
    const [rows, columns] = shape as [number, number];
    const inBf16 = (of: (i: number) => number) => {
      const numbers = Uint16Array.from({ length: rows * columns }, (_, i) => toBf16(of(i)));
      return { name, dtype: 'BF16', shape, data: new Uint8Array(numbers.buffer) };
    };
    if (IN_MXFP4.test(name)) {
      const data = Uint8Array.from({ length: (rows * columns) / 2 }, byte);
      const scales = Uint8Array.from({ length: (rows * columns) / 32 }, () => 121 + (byte() % 3));
      const same = inBf16((i) => E2M1[(data[i >> 1]! >> (4 * (i % 2))) & 15]! * 2 ** (scales[i >> 5]! - 127));
      return {
        stored: [
          { name, dtype: 'I8', shape: [rows, columns / 2], data },
          { name: scale, dtype: 'F8_E8M0', shape: [rows, columns / 32], data: scales },
        ],
        same,
      };
    }
    if (!IN_FP8.test(name)) return { stored: [{ name, shape, ...tensor }], same: { name, shape, ...tensor } };
    const data = Uint8Array.from({ length: rows * columns }, () => byte() & 0xb7); // no number is none
    const across = Math.ceil(columns / BLOCK);
    const scales = Uint8Array.from({ length: Math.ceil(rows / BLOCK) * across }, () => 125 + (byte() % 3));
    const block = (i: number) =>
      Math.floor(Math.floor(i / columns) / BLOCK) * across + Math.floor((i % columns) / BLOCK);
    return {
      stored: [
        { name, dtype: 'F8_E4M3', shape, data },
        { name: scale, dtype: 'F8_E8M0', shape: [Math.ceil(rows / BLOCK), across], data: scales },
      ],
      same: inBf16((i) => E4M3[data[i]!]! * 2 ** (scales[block(i)]! - 127)),
    };
  }

  function written(tensors: readonly TensorToWrite[], quantization?: object): string {
    const dir = temporaryFolder();
    const config = JSON.parse(readFileSync(join(GOLDEN, 'config.json'), 'utf8'));
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, quantization_config: quantization }));
    writeSafetensors(join(dir, 'model.safetensors'), [...tensors]);
    return dir;
  }

  it('has the logits of its numbers: FP8 by powers of two, and MXFP4 that each expert has to itself', () => {
    const all = readTensors(join(GOLDEN, 'model.safetensors')).map(packed);
    const fp8 = { quant_method: 'fp8', fmt: 'e4m3', scale_fmt: 'ue8m0', weight_block_size: [BLOCK, BLOCK] };
    const [stored, same] = [
      written(
        all.flatMap((each) => each.stored),
        fp8,
      ),
      written(all.map((each) => each.same)),
    ];
    const tokens = Array.from({ length: 30 }, (_, i) => (i * 37 + 11) % 320);
    const options = { accelerator: 'none', ctx: 128 } as const;
    const [found, expected] = [stored, same].map((dir) => logitsOf(dir, tokens, options));
    expect(expected!.flatMap((row) => [...row]).every(Number.isFinite)).toBe(true);
    expect(Math.max(...largest(found!, expected!))).toBeLessThan(1e-4);
  });
});
