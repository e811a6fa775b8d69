import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GgufTensorToWrite, GgufToWrite } from '../../bench/gguf-writer.js';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { dequantize } from '../../src/native/ggml/dequantize.js';
import { blockBytes, blockElements, Type } from '../../src/native/ggml/tensor.js';
import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import type { LoadOptions } from '../../src/options.js';
import { writeConverted } from '../support/converted.js';
import { temporaryFolder } from '../support/folder.js';
import { type FileType, quantize } from '../support/llama.js';
import { llamaLogits } from '../support/llama-logits.js';
import { numbersFrom } from '../support/numbers.js';
import { hideKey, type readGguf, rewrite, setNumber } from '../support/rewritten.js';
import { logitsOf, nmse, TOKENS } from './gguf-logits.js';

type File = ReturnType<typeof readGguf>;

prepareEnvironment({ dtype: 'f32' });

/** Both compute in float32. */
const LARGEST_NMSE = 1e-7;

describe('other ways in which files hold a model give the logits of llama.cpp', () => {
  it('queries, keys and values, and their biases, in one tensor', () => {
    compare('qwen2_moe', (file) => ({ ...file, tensors: fused(file.tensors) }));
  });

  it('divisors of the frequencies', () => {
    const divisors = Float32Array.from({ length: 8 }, (_, i) => 1 + i / 3);
    const tensor = { name: 'rope_freqs.weight', type: Type.F32, ne: [8], data: new Uint8Array(divisors.buffer) };
    compare('mixtral', (file) => ({ ...file, tensors: [...file.tensors, tensor] }));
  });

  it('keys and values of latents in one tensor of blocks', () => {
    const inOne = (file: File) => {
      const { bytes } = file.keys;
      for (const which of ['key', 'value']) hideKey(bytes, `attention.${which}_length_mla`);
      setNumber(bytes, 'attention.head_count_kv', HEADS);
      setNumber(bytes, 'attention.key_length', NOPE + ROPE);
      setNumber(bytes, 'attention.value_length', VALUE);
      return { ...file, tensors: joinedLatents(file.tensors) };
    };
    compare('deepseek_v3', inOne, 'Q8_0');
  });
});

describe('experts that read a latent', () => {
  it('give the logits of llama.cpp', () => {
    const metadata = { 'nemotron_h_moe.moe_latent_size': { kind: 'u32', value: LATENT } } as const;
    compare('nemotron_h', (file) => ({ ...file, metadata, tensors: file.tensors.flatMap(withLatent) }));
  });
});

describe('NVFP4 with its factors', () => {
  it('gives the logits of the numbers that they make', () => {
    const dir = temporaryFolder();
    const at = (part: string) => join(dir, `${part}.gguf`);
    const [original, stored, made, exact] = [at('original'), at('stored'), at('made'), at('exact')];
    writeConverted('mixtral', original);
    const draw = numbersFrom(7);
    rewrite(original, stored, (file) => ({ ...file, tensors: file.tensors.flatMap((each) => inNvfp4(each, draw)) }));
    rewrite(stored, made, (file) => ({ ...file, tensors: multipliedOut(file.tensors) }));
    quantize(made, exact, 'F32');
    const vocabulary = logits(stored).length / TOKENS.length;
    const expected = llamaLogits(exact, TOKENS, vocabulary);
    const theirs = nmse(llamaLogits(stored, TOKENS, vocabulary), expected);
    for (const setting of LANES) {
      expect(nmse(logits(stored, setting), expected)).toBeLessThan(LARGEST_NMSE);
      // Inputs are rounded: llama.cpp's own arithmetic is off by as much.
      expect(nmse(logits(stored, { ...setting, dtype: 'auto' }), expected)).toBeLessThan(2 * theirs);
    }
  });
});

/** Every lane computes, and experts are divided. */
const LANES: readonly LoadOptions[] = [
  {},
  { accelerator: 'host', expertsResident: 0.5, policy: 'lru' },
  { accelerator: 'host', expertsResident: 0.5, policy: 'lanes' },
];
/** Matrices that the test puts into blocks. */
const IN_BLOCKS = /(_exps|attn_q|attn_output)\.weight$/;

/** Random blocks in place of a matrix's numbers, and a factor for it, or for each expert's. */
function inNvfp4(tensor: GgufTensorToWrite, draw: () => number): GgufTensorToWrite[] {
  if (!IN_BLOCKS.test(tensor.name)) return [tensor];
  const blocks = tensor.ne.reduce((a, b) => a * b, 1) / blockElements(Type.NVFP4);
  const size = blockBytes(Type.NVFP4);
  const data = Uint8Array.from({ length: blocks * size }, (_, i) => (i % size < 4 ? 0x30 + draw() * 8 : draw() * 256));
  const factors = Float32Array.from({ length: tensor.ne[2] ?? 1 }, () => (0.5 + draw()) / 20);
  const factor = (suffix: string) => tensor.name.replace(/weight$/, suffix);
  const vector = { type: Type.F32, ne: [factors.length], data: new Uint8Array(factors.buffer) };
  const ignored = new Uint8Array(new Float32Array(factors.length).fill(3).buffer);
  return [
    { ...tensor, type: Type.NVFP4, data },
    { ...vector, name: factor('scale') },
    { ...vector, name: factor('input_scale'), data: ignored },
  ];
}

/** The same numbers in float32, without factors. */
function multipliedOut(tensors: readonly GgufTensorToWrite[]): GgufTensorToWrite[] {
  return tensors.flatMap((tensor) => {
    if (/\.(input_)?scale$/.test(tensor.name)) return [];
    if (tensor.type !== Type.NVFP4) return [tensor];
    const elements = tensor.ne.reduce((a, b) => a * b, 1);
    const scale = tensors.find(({ name }) => name === tensor.name.replace(/weight$/, 'scale'))!;
    const factors = new Float32Array(new Uint8Array(scale.data).buffer);
    const values = dequantized(tensor.data, elements);
    const each = elements / factors.length;
    const made = values.map((value, i) => value * factors[Math.floor(i / each)]!);
    return [{ ...tensor, type: Type.F32, data: new Uint8Array(made.buffer) }];
  });
}

function dequantized(blocks: Uint8Array, elements: number): Float32Array {
  const memory = mapAnonymous('blocks and numbers', blocks.length + 4 * elements);
  const numbers = memory.address + BigInt(blocks.length);
  new Uint8Array(view(memory.address, blocks.length)).set(blocks);
  dequantize(Type.NVFP4, memory.address, numbers, elements);
  const values = new Float32Array(view(numbers, 4 * elements).slice(0));
  unmap(memory);
  return values;
}

/** Has llama.cpp quantize a changed file and compares the logits of its numbers in float32. */
function compare(name: string, change: (file: File) => GgufToWrite, type: FileType = 'BF16'): void {
  const dir = temporaryFolder();
  const at = (part: string) => join(dir, `${part}.gguf`);
  writeConverted(name, at('original'));
  rewrite(at('original'), at('changed'), change);
  quantize(at('changed'), at('stored'), type);
  quantize(at('stored'), at('exact'), 'F32');
  const ours = logits(at('stored'));
  const expected = llamaLogits(at('exact'), TOKENS, ours.length / TOKENS.length);
  expect(nmse(ours, expected)).toBeLessThan(LARGEST_NMSE);
}

/** In float32 by default. */
const logits = (file: string, options: LoadOptions = {}) => logitsOf(file, { dtype: 'f32', ...options });

/** `attn_q`, `attn_k` and `attn_v` of each layer as rows of one tensor. */
function fused(tensors: readonly GgufTensorToWrite[]): GgufTensorToWrite[] {
  const find = (name: string) => tensors.find((tensor) => tensor.name === name)!;
  return tensors.flatMap((tensor) => {
    const [, layer, which, kind] = /^(blk\.\d+\.attn_)([qkv])\.(weight|bias)$/.exec(tensor.name) ?? [];
    if (!layer) return [tensor];
    if (which !== 'q') return [];
    const parts = ['q', 'k', 'v'].map((each) => find(`${layer}${each}.${kind}`));
    const rows = parts.reduce((sum, { ne }) => sum + ne.at(-1)!, 0);
    const data = Buffer.concat(parts.map((part) => part.data));
    return [{ ...tensor, name: `${layer}qkv.${kind}`, ne: [...tensor.ne.slice(0, -1), rows], data }];
  });
}

/** What experts of the changed Nemotron H read; its hidden size is 64. */
const LATENT = 48;

/** An expert's matrices that read and write a latent, with the projections around them. */
function withLatent(tensor: GgufTensorToWrite): GgufTensorToWrite[] {
  const [, layer, which] = /^(blk\.\d+)\.ffn_(up|down)_exps\.weight$/.exec(tensor.name) ?? [];
  if (!layer) return [tensor];
  const draw = numbersFrom(Number(layer.slice(4)));
  const made = (name: string, ne: readonly number[]): GgufTensorToWrite => {
    const values = Float32Array.from({ length: ne.reduce((a, b) => a * b) }, () => (draw() - 0.5) / 2);
    return { name, type: Type.F32, ne, data: new Uint8Array(values.buffer) };
  };
  const [first, second, count] = tensor.ne as [number, number, number];
  return which === 'up'
    ? [made(tensor.name, [LATENT, second, count]), made(`${layer}.ffn_latent_down.weight`, [first, LATENT])]
    : [made(tensor.name, [first, LATENT, count]), made(`${layer}.ffn_latent_up.weight`, [LATENT, second])];
}

/** Sizes of the golden DeepSeek-V3. */
const [HEADS, NOPE, ROPE, VALUE, RANK] = [4, 32, 16, 32, 32] as const;

/** `attn_k_b` [heads, rank, nope] and `attn_v_b` [heads, value, rank] of each layer as `attn_kv_b` in bf16. */
function joinedLatents(tensors: readonly GgufTensorToWrite[]): GgufTensorToWrite[] {
  const halves = ({ data }: GgufTensorToWrite) => new Uint16Array(new Uint8Array(data).buffer);
  return tensors.flatMap((tensor) => {
    const layer = /^(blk\.\d+\.attn_)[kv]_b\.weight$/.exec(tensor.name)?.[1];
    if (!layer) return [tensor];
    if (tensor.name.endsWith('v_b.weight')) return [];
    const [keys, values] = [halves(tensor), halves(tensors.find(({ name }) => name === `${layer}v_b.weight`)!)];
    const rows = NOPE + VALUE;
    const joined = new Uint16Array(HEADS * rows * RANK);
    for (let h = 0; h < HEADS; h++) {
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < RANK; c++) {
          const from = r < NOPE ? keys[(h * RANK + c) * NOPE + r] : values[(h * VALUE + r - NOPE) * RANK + c];
          joined[(h * rows + r) * RANK + c] = from!;
        }
      }
    }
    return [
      { name: `${layer}kv_b.weight`, type: Type.BF16, ne: [RANK, HEADS * rows], data: new Uint8Array(joined.buffer) },
    ];
  });
}
