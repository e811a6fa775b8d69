import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES } from '../../src/models/gguf/index.js';
import { ggufName } from '../../src/models/gguf/names.js';
import { type GgufTensor, readHeader } from '../../src/weights/gguf/header.js';
import { floatsOf, recurrentNumbers } from './converted-recurrent.js';
import { readTensors } from './model.js';
import type { TensorToWrite } from './safetensors.js';

const HEADS = 'test/golden-gguf';
/** Architectures of which the converter interleaves the halves of each head's rows. */
const PERMUTED = ['llama', 'granitemoe', 'granitehybrid', 'nemotron_h_moe', 'deepseek'];

/** Golden models of which llama.cpp's converter made a file. */
export const CONVERTED: Record<string, { bytes: number; sha256: string }> = JSON.parse(
  readFileSync(join(HEADS, 'files.json'), 'utf8'),
);

/** A bf16 matrix or vector. */
interface Numbers {
  shape: readonly number[];
  values: Uint16Array;
}

/**
 * Writes the file that llama.cpp's converter made of a golden model, byte for byte: its header is here, and its numbers
 * are those of the golden model. The converter was given the keys and the transposed experts that published models have;
 * `afmoe` and `laguna` say in theirs which layers slide, and the magnitude of `phimoe` is the golden model's.
 */
export function writeConverted(name: string, path: string): void {
  const head = readFileSync(join(HEADS, `${name}.head`));
  const { bytes, sha256 } = CONVERTED[name]!;
  const { metadata, tensors } = readHeader(path, head, bytes)!;
  const architecture = ARCHITECTURES.find((a) => a.name === metadata.string('general.architecture'))!;
  const key = (name: string) => {
    const whole = `${architecture.name}.${name}`;
    return metadata.isList(whole) ? Math.max(...metadata.integers(whole)!) : metadata.integer(whole);
  };
  const permuted = PERMUTED.includes(architecture.name);
  const golden = new Golden(readTensors(join('test/golden', name, 'model.safetensors')), permuted);
  const file = Buffer.alloc(bytes);
  head.copy(file);
  for (const tensor of tensors) {
    const made = rotationOf(name, tensor) ?? golden.packed(tensor) ?? golden.recurrent(architecture.name, tensor, key);
    if (made) {
      Buffer.from(made.buffer).copy(file, tensor.offset);
      continue;
    }
    const values = golden.numbers(tensor, (published) => ggufName(published, architecture), key);
    const stored = tensor.dtype === 'F32' ? floatsOf(values) : values;
    Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).copy(file, tensor.offset);
  }
  if (createHash('sha256').update(file).digest('hex') !== sha256) throw new Error(`${name} is not the converter's`);
  writeFileSync(path, file);
}

/** Experts that are fused in both. */
const WHOLE: Readonly<Record<string, readonly string[]>> = {
  'ffn_gate_up_exps.weight': ['experts.gate_up_proj', 'mlp.experts.gate_up_proj'],
  'ffn_down_exps.weight': ['experts.down_proj'],
};

/** What the converter makes of a config's rotation. */
function rotationOf(name: string, { name: tensor, shape }: GgufTensor): Float32Array | undefined {
  if (tensor === 'rope_freqs.weight') return quarterTurning(shape[0]!);
  const which = /^rope_factors_(long|short)\.weight$/.exec(tensor)?.[1];
  if (!which) return undefined;
  const config = JSON.parse(readFileSync(join('test/golden', name, 'config.json'), 'utf8'));
  return Float32Array.from(config.rope_parameters[`${which}_factor`]);
}

/** Divisors of a head of which the first quarter of all pairs turns. */
function quarterTurning(pairs: number): Float32Array {
  return Float32Array.from({ length: pairs }, (_, i) => (i < pairs / 4 ? 1 : 1e30));
}

class Golden {
  private readonly tensors: Map<string, Numbers>;

  constructor(
    stored: readonly TensorToWrite[],
    private readonly permuted: boolean,
  ) {
    this.tensors = new Map(
      stored.map(({ name, shape, data }) => [
        name.replace(/^(model\.language_model|backbone)\./, 'model.'),
        { shape, values: new Uint16Array(data.slice().buffer) },
      ]),
    );
  }

  /** The numbers of a tensor of the file. */
  numbers(
    tensor: GgufTensor,
    named: (published: string) => string,
    key: (name: string) => number | undefined,
  ): Uint16Array {
    const { name } = tensor;
    const [, layer, part] = /^blk\.(\d+)\.(.*)$/.exec(name) ?? [];
    const whole = WHOLE[part ?? '']?.map((fused) => this.tensors.get(`model.layers.${layer}.${fused}`));
    const same = whole?.find((fused) => fused?.shape.join() === tensor.shape.join());
    if (same) return same.values;
    if (part && /_exps\.(weight|bias)$/.test(part)) return this.experts(`model.layers.${layer}.`, part);
    const kvB = /attn_([kv])_b\.weight/.exec(name)?.[1];
    if (kvB) return this.half(`model.layers.${layer}.self_attn.kv_b_proj.weight`, tensor.shape, kvB === 'k');
    const [, numbers] = [...this.tensors].find(([published]) => named(published) === name)!;
    const heads = { 'attn_q.weight': 'attention.head_count', 'attn_k.weight': 'attention.head_count_kv' }[part ?? ''];
    return this.permuted && heads ? interleaved(numbers, key(heads)!) : numbers.values;
  }

  /** One matrix, or its bias, of all experts of a layer. */
  private experts(layer: string, part: string): Uint16Array {
    const [, which, kind] = /^ffn_(gate|up|down)_exps\.(weight|bias)$/.exec(part)!;
    const of = (suffix: string) => this.tensors.get(`${layer}${suffix}`);
    const separate = { gate: ['w1', 'gate_proj'], up: ['w3', 'up_proj'], down: ['w2', 'down_proj'] }[which as 'up'];
    const found: Numbers[] = [];
    for (let e = 0; ; e++) {
      const [w, proj] = separate as [string, string];
      const expert =
        of(`block_sparse_moe.experts.${e}.${w}.weight`) ??
        of(`mlp.experts.${e}.${proj}.weight`) ??
        of(`feed_forward.experts.${e}.${w}.weight`) ??
        of(`mixer.experts.${e}.${proj}.weight`);
      if (!expert) break;
      found.push(expert);
    }
    if (found.length > 0) return joined(found.map(({ values }) => values));
    const fused = of(`block_sparse_moe.${which === 'down' ? 'output' : 'input'}_linear.weight`);
    if (fused) return which === 'down' ? fused.values : halves(fused, which === 'gate' ? 0 : 1);
    if (!of('mlp.experts.gate_up_proj_bias')) {
      const rows = of(`mlp.experts.${which === 'down' ? 'down' : 'gate_up'}_proj`)!;
      return which === 'down' ? rows.values : halves(rows, which === 'gate' ? 0 : 1);
    }
    const suffix = kind === 'bias' ? '_bias' : '';
    const both = of(`mlp.experts.${which === 'down' ? 'down' : 'gate_up'}_proj${suffix}`)!;
    const rows = kind === 'bias' ? both : transposed(both);
    return which === 'down' ? rows.values : everyOther(rows, which === 'gate' ? 0 : 1);
  }

  /** Numbers of a model with recurrent layers, as they lie in the file. */
  recurrent(architecture: string, tensor: GgufTensor, key: (name: string) => number | undefined) {
    const published = { rows: (name: string) => this.tensors.get(name)!, key: (name: string) => key(name)! };
    const made = recurrentNumbers(architecture, tensor, published);
    return made instanceof Uint16Array && tensor.dtype === 'F32' ? floatsOf(made) : made;
  }

  /** Blocks of MXFP4 in ggml's order; of gate and up every other row. */
  packed({ name, dtype, shape }: GgufTensor): Uint8Array | undefined {
    if (dtype !== 'MXFP4') return undefined;
    const [, layer, which] = /^blk\.(\d+)\.ffn_(gate|up|down)_exps\.weight$/.exec(name)!;
    const part = (suffix: string) => {
      const tensor = this.tensors.get(
        `model.layers.${layer}.mlp.experts.${which === 'down' ? 'down' : 'gate_up'}_proj_${suffix}`,
      )!;
      return new Uint8Array(tensor.values.buffer);
    };
    const [blocks, scales] = [part('blocks'), part('scales')];
    const groups = shape[2]! / 32;
    const [step, first] = which === 'down' ? [1, 0] : [2, which === 'gate' ? 0 : 1];
    const result = new Uint8Array(shape[0]! * shape[1]! * groups * 17);
    for (let block = 0; block < result.length / 17; block++) {
      const row = Math.floor(block / groups) * step + first;
      const from = row * groups + (block % groups);
      const number = (i: number) => (blocks[from * 16 + (i >> 1)]! >> (4 * (i % 2))) & 15;
      result[block * 17] = scales[from]!;
      for (let i = 0; i < 16; i++) result[block * 17 + 1 + i] = number(i) | (number(i + 16) << 4);
    }
    return result;
  }

  /** Keys' or values' rows of each head [heads, keys + values, rank]; of keys, transposed. */
  private half(name: string, [heads, second, third]: readonly number[], keys: boolean): Uint16Array {
    const { shape, values } = this.tensors.get(name)!;
    const rank = shape[1]!;
    const perHead = (shape[0]! / heads!) * rank;
    const rows = keys ? third! : second!;
    const result = new Uint16Array(heads! * rows * rank);
    const first = keys ? 0 : perHead / rank - rows;
    for (let h = 0; h < heads!; h++) {
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < rank; c++) {
          const at = keys ? (h * rank + c) * rows + r : (h * rows + r) * rank + c;
          result[at] = values[h * perHead + (first + r) * rank + c]!;
        }
      }
    }
    return result;
  }
}

export function joined(parts: readonly Uint16Array[]): Uint16Array {
  return Uint16Array.from(parts.flatMap((part) => [...part]));
}

/** Rows i and i + n/2 of each head become rows 2i and 2i + 1. */
export function interleaved({ shape, values }: Numbers, heads: number): Uint16Array {
  const [rows, columns] = shape as [number, number];
  const size = rows / heads;
  const order = Array.from({ length: rows }, (_, r) => {
    const [head, i] = [Math.floor(r / size), r % size];
    return head * size + (i >> 1) + (i % 2) * (size / 2);
  });
  return joined(order.map((row) => values.subarray(row * columns, (row + 1) * columns)));
}

/** The first or second half of each expert's rows. */
function halves({ shape, values }: Numbers, which: 0 | 1): Uint16Array {
  const [count, rows, columns] = shape as [number, number, number];
  const half = (rows / 2) * columns;
  return joined(
    Array.from({ length: count }, (_, e) => values.subarray((2 * e + which) * half, (2 * e + which + 1) * half)),
  );
}

/** [count, in, out] as [count, out, in]. */
function transposed({ shape, values }: Numbers): Numbers {
  const [count, rows, columns] = shape as [number, number, number];
  const result = values.slice();
  for (let e = 0; e < count; e++) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) result[(e * columns + c) * rows + r] = values[(e * rows + r) * columns + c]!;
    }
  }
  return { shape: [count, columns, rows], values: result };
}

/** Every other row of each expert, or element of its bias. */
function everyOther({ shape, values }: Numbers, first: 0 | 1): Uint16Array {
  const width = shape[2] ?? 1;
  const rows = values.length / width;
  return joined(
    Array.from({ length: rows / 2 }, (_, r) => values.subarray((2 * r + first) * width, (2 * r + first + 1) * width)),
  );
}
