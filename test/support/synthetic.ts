import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Sizes of a Mixtral to write. */
export interface SyntheticSizes {
  layers: number;
  hidden: number;
  width: number;
  experts: number;
  vocabulary: number;
}

export const HEAD_SIZE = 64;
/** Keys and values have this many heads. */
export const KV_HEADS = 2;

export function configOf({ layers, hidden, width, experts, vocabulary }: SyntheticSizes): Record<string, unknown> {
  return {
    model_type: 'mixtral',
    vocab_size: vocabulary,
    hidden_size: hidden,
    intermediate_size: width,
    num_hidden_layers: layers,
    num_attention_heads: hidden / HEAD_SIZE,
    num_key_value_heads: KV_HEADS,
    hidden_act: 'silu',
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    num_experts_per_tok: 2,
    num_local_experts: experts,
  };
}

/** Every tensor's name and shape. */
export function shapesOf({ layers, hidden, width, experts, vocabulary }: SyntheticSizes): [string, number[]][] {
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [vocabulary, hidden]],
    ['model.norm.weight', [hidden]],
    ['lm_head.weight', [vocabulary, hidden]],
  ];
  const kv = KV_HEADS * HEAD_SIZE;
  for (let l = 0; l < layers; l++) {
    const layer = `model.layers.${l}`;
    shapes.push([`${layer}.input_layernorm.weight`, [hidden]], [`${layer}.post_attention_layernorm.weight`, [hidden]]);
    for (const [name, out] of Object.entries({ q: hidden, k: kv, v: kv, o: hidden })) {
      shapes.push([`${layer}.self_attn.${name}_proj.weight`, [out, hidden]]);
    }
    shapes.push([`${layer}.block_sparse_moe.gate.weight`, [experts, hidden]]);
    for (let e = 0; e < experts; e++) {
      const expert = `${layer}.block_sparse_moe.experts.${e}`;
      shapes.push([`${expert}.w1.weight`, [width, hidden]], [`${expert}.w2.weight`, [hidden, width]]);
      shapes.push([`${expert}.w3.weight`, [width, hidden]]);
    }
  }
  return shapes;
}

/** Bytes of all tensors of `shapes` whose names fit, at this many a number. */
export function bytesOf(shapes: readonly [string, number[]][], names: RegExp, each = 2): number {
  const sizes = shapes.filter(([name]) => names.test(name)).map(([, shape]) => shape.reduce((a, b) => a * b, each));
  return sizes.reduce((a, b) => a + b, 0);
}

/** Writes the model in bfloat16. @param weights `random`, or `none`: a sparse file that takes no room */
export function writeModel(dir: string, sizes: SyntheticSizes, weights: 'random' | 'none'): void {
  writeFileSync(join(dir, 'config.json'), JSON.stringify(configOf(sizes)));
  const shapes = shapesOf(sizes);
  let offset = 0;
  const entries = shapes.map(([name, shape]) => {
    const bytes = shape.reduce((a, b) => a * b, 2);
    const entry = { dtype: 'BF16', shape, data_offsets: [offset, offset + bytes] };
    offset += bytes;
    return [name, entry];
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.alloc(8 + Math.ceil(text.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  header.write(text, 8);
  const file = openSync(join(dir, 'model.safetensors'), 'w');
  try {
    writeSync(file, header);
    if (weights === 'none') ftruncateSync(file, header.length + offset);
    else for (const [i, [, shape]] of shapes.entries()) writeNumbers(file, i, shape);
  } finally {
    closeSync(file);
  }
}

const noise = bfloat16(1 << 20, 0.05);

/** Writes numbers that differ from tensor to tensor, a block at a time; vectors are ones, as norms are. */
function writeNumbers(file: number, seed: number, shape: readonly number[]): void {
  const count = shape.reduce((a, b) => a * b, 1);
  const block = shape.length === 1 ? bfloat16(count, 0, 1) : noise;
  let at = shape.length === 1 ? 0 : (seed * 7919) % (block.length - 1);
  for (let left = count; left > 0; at = 0) {
    const part = block.subarray(at, Math.min(block.length, at + left));
    writeSync(file, part);
    left -= part.length;
  }
}

/** Pseudo-random numbers in [mean − spread, mean + spread). */
function bfloat16(count: number, spread: number, mean = 0): Uint16Array {
  let state = 12345;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0; // the generator of C's standard, section 7.22.2
    return (state >>> 8) / 2 ** 23 - 1;
  };
  const floats = Float32Array.from({ length: count }, () => mean + spread * next());
  return Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
}
