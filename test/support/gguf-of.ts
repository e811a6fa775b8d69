import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GgufTensorToWrite, type GgufValue, writeGguf } from '../../bench/gguf-writer.js';
import { ARCHITECTURES } from '../../src/models/gguf/index.js';
import { ggufName } from '../../src/models/gguf/names.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { floatsOf } from './converted-recurrent.js';
import { readTensors } from './model.js';
import type { TensorToWrite } from './safetensors.js';

/** A tensor of a golden model as numbers, outermost dimension first. */
export interface Numbers {
  shape: readonly number[];
  values: Float32Array | Int32Array;
}
export type NumbersByName = Map<string, Numbers>;

/** What tensors of DeepSeek-V4 are called on the hub, by what transformers calls them. */
export function publishedV4Name(tensor: string): string {
  return tensor
    .replace('model.embed_tokens.', 'embed.')
    .replace('model.hc_head.hc_', 'hc_head_')
    .replace('.attn.norm.', '.attn.kv_norm.')
    .replace(/^model\./, '');
}

export interface GgufOf {
  architecture: string;
  golden: string;
  /** Keys below the architecture's name. */
  metadata(config: GoldenConfig): Record<string, GgufValue>;
  /** Changes the model before it is written. */
  change?(tensors: NumbersByName, config: GoldenConfig): void;
}
// biome-ignore lint/suspicious/noExplicitAny: what a config.json holds
export type GoldenConfig = Record<string, any>;

export const u32 = (value: number): GgufValue => ({ kind: 'u32', value });
export const f32 = (value: number): GgufValue => ({ kind: 'f32', value });
export const list = (of: 'u32' | 'u64' | 'f32' | 'bool', value: readonly (number | bigint)[]): GgufValue => ({
  kind: 'array',
  of,
  value,
});

/**
 * Writes a golden model as llama.cpp's converter would (conversion/ of llama.cpp v0.5.0), in float32 and without a
 * vocabulary: experts of a layer as one tensor, `kv_b_proj` in parts, decays as −exp(A_log), tables as 32-bit integers.
 */
export function writeGgufOf({ architecture: name, golden, metadata, change }: GgufOf, path: string): void {
  const dir = join('test/golden', golden);
  const whole: GoldenConfig = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8'));
  const config: GoldenConfig = whole.text_config ?? whole;
  const architecture = ARCHITECTURES.find((each) => each.name === name)!;
  const tensors: NumbersByName = new Map(readTensors(join(dir, 'model.safetensors')).map(numbersOf));
  change?.(tensors, config);
  const written = withSplitLatents(withJoinedExperts(tensors), config);
  writeGguf(path, {
    metadata: {
      'general.architecture': { kind: 'string', value: name },
      'tokenizer.ggml.model': { kind: 'string', value: 'no_vocab' },
      ...Object.fromEntries(
        Object.entries({ ...common(config), ...metadata(config) })
          .filter(([, { value }]) => value !== undefined)
          .map(([key, value]) => [`${name}.${key}`, value]),
      ),
    },
    tensors: [...written].map(([published, numbers]) => tensorOf(ggufName(published, architecture), numbers)),
  });
}

function common(c: GoldenConfig): Record<string, GgufValue> {
  return {
    vocab_size: u32(c.vocab_size),
    block_count: u32(c.num_hidden_layers),
    context_length: u32(c.max_position_embeddings ?? c.model_max_length),
    embedding_length: u32(c.hidden_size),
    feed_forward_length: u32(c.intermediate_size ?? c.moe_intermediate_size),
    'attention.head_count': u32(c.num_attention_heads),
    'attention.layer_norm_rms_epsilon': f32(c.rms_norm_eps),
    'rope.freq_base': f32(c.rope_theta ?? c.rope_parameters?.rope_theta ?? 1e4),
    expert_count: u32(c.n_routed_experts ?? c.num_experts),
    expert_used_count: u32(c.num_experts_per_tok ?? c.num_experts_per_token),
    expert_feed_forward_length: u32(c.moe_intermediate_size),
    expert_shared_count: u32(c.n_shared_experts ?? c.num_shared_experts),
    expert_weights_scale: f32(c.routed_scaling_factor),
    expert_weights_norm: { kind: 'bool', value: 1 },
  };
}

function numbersOf({ name, dtype, shape, data }: TensorToWrite): [string, Numbers] {
  const published = /^model\.layers\.\d+\.(attn|ffn|hc)/.test(name) || /hc_head|^head\./.test(name);
  const called = (published ? publishedV4Name(name) : name).replace(/\.block_sparse_moe\.(\w+_proj\.)/, '.mlp.$1');
  const bytes = data.slice().buffer;
  const values = dtype === 'I64' ? Int32Array.from(new BigInt64Array(bytes), Number) : floatsOf(new Uint16Array(bytes));
  const decays = name.endsWith('.A_log') ? (values as Float32Array).map((value) => -Math.exp(value)) : values;
  return [called, { shape, values: decays }];
}

const EXPERT = /^(.*layers\.\d+)\.(.*)experts\.(\d+)\.(w1|w2|w3|gate_proj|up_proj|down_proj)\.weight$/;
const MATRICES: Readonly<Record<string, string>> = {
  ...{ w1: 'gate', w2: 'down', w3: 'up', gate_proj: 'gate', down_proj: 'down', up_proj: 'up' },
};

/** The matrices of a layer's experts behind each other. */
function withJoinedExperts(tensors: NumbersByName): NumbersByName {
  const result: NumbersByName = new Map();
  for (const [name, { shape, values }] of tensors) {
    const [, layer, before, , matrix] = EXPERT.exec(name) ?? [];
    if (layer === undefined || before!.endsWith('shared_')) {
      result.set(name, { shape, values });
      continue;
    }
    const joined = `blk.${/\d+/.exec(layer)![0]}.ffn_${MATRICES[matrix!]}_exps.weight`;
    const known = result.get(joined);
    const all = known ? [...known.values, ...values] : [...values];
    result.set(joined, { shape: [(known?.shape[0] ?? 0) + 1, ...shape], values: Float32Array.from(all) });
  }
  return result;
}

/** Keys' rows of each head transposed [heads, rank, keys], and values' [heads, values, rank]. */
function withSplitLatents(tensors: NumbersByName, c: GoldenConfig): NumbersByName {
  const result: NumbersByName = new Map();
  for (const [name, numbers] of tensors) {
    if (!name.endsWith('kv_b_proj.weight')) {
      result.set(name, numbers);
      continue;
    }
    const [heads, keys, values, rank] = [c.num_attention_heads, c.qk_nope_head_dim, c.v_head_dim, c.kv_lora_rank];
    const at = (head: number, row: number, column: number) =>
      numbers.values[(head * (keys + values) + row) * rank + column]!;
    const made = (rows: number, columns: number, of: (head: number, row: number, column: number) => number) =>
      Float32Array.from({ length: heads * rows * columns }, (_, i) =>
        of(Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns),
      );
    result.set(name.replace('kv_b', 'k_b'), {
      shape: [heads, rank, keys],
      values: made(rank, keys, (head, row, column) => at(head, column, row)),
    });
    result.set(name.replace('kv_b', 'v_b'), {
      shape: [heads, values, rank],
      values: made(values, rank, (head, row, column) => at(head, keys + row, column)),
    });
  }
  return result;
}

function tensorOf(name: string, { shape, values }: Numbers): GgufTensorToWrite {
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { name, type: values instanceof Int32Array ? Type.I32 : Type.F32, ne: [...shape].reverse(), data };
}
