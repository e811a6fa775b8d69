import { readFileSync } from 'node:fs';
import { type GgufTensorToWrite, type GgufValue, writeGguf } from '../../bench/gguf-writer.js';
import { llama } from '../../src/models/gguf/llama.js';
import { ggufName } from '../../src/models/gguf/names.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { interleaved, joined } from './converted.js';
import { readTensors } from './model.js';

const MODEL = 'models/mini-mixtral';
/** Token types (llama.h, llama_token_type). */
const [NORMAL, CONTROL] = [1, 3];
const EXPERT = /^(model\.layers\.\d+)\.block_sparse_moe\.experts\.(\d+)\.(w[123])\.weight$/;
const PARTS: Readonly<Record<string, string>> = { w1: 'gate', w2: 'down', w3: 'up' };

/** Writes the bundled model as llama.cpp's converter would: matrices in bf16, the rest in float32. */
export function writeBundled(path: string): void {
  const config = JSON.parse(readFileSync(`${MODEL}/config.json`, 'utf8'));
  writeGguf(path, { metadata: { ...architecture(config), ...vocabulary() }, tensors: tensors(config) });
}

function architecture(config: Record<string, number>): Record<string, GgufValue> {
  const counts = {
    context_length: config.max_position_embeddings!,
    embedding_length: config.hidden_size!,
    block_count: config.num_hidden_layers!,
    feed_forward_length: config.intermediate_size!,
    'attention.head_count': config.num_attention_heads!,
    'attention.head_count_kv': config.num_key_value_heads!,
    'rope.dimension_count': config.head_dim!,
    expert_count: config.num_local_experts!,
    expert_used_count: config.num_experts_per_tok!,
    vocab_size: config.vocab_size!,
  };
  return {
    'general.architecture': { kind: 'string', value: 'llama' },
    ...Object.fromEntries(
      Object.entries(counts).map(([key, value]) => [`llama.${key}`, { kind: 'u32' as const, value }]),
    ),
    'llama.attention.layer_norm_rms_epsilon': { kind: 'f32', value: config.rms_norm_eps! },
    'llama.rope.freq_base': { kind: 'f32', value: config.rope_theta! },
  };
}

function vocabulary(): Record<string, GgufValue> {
  const { model, added_tokens } = JSON.parse(readFileSync(`${MODEL}/tokenizer.json`, 'utf8'));
  const tokens = Object.entries<number>(model.vocab).sort(([, a], [, b]) => a - b);
  const added = new Set(added_tokens.map(({ id }: { id: number }) => id));
  const merges = model.merges.map((merge: string | string[]) => (Array.isArray(merge) ? merge.join(' ') : merge));
  return {
    'tokenizer.ggml.model': { kind: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { kind: 'string', value: 'gpt-2' },
    'tokenizer.ggml.tokens': { kind: 'array', of: 'string', value: tokens.map(([text]) => text) },
    'tokenizer.ggml.token_type': {
      kind: 'array',
      of: 'i32',
      value: tokens.map(([, id]) => (added.has(id) ? CONTROL : NORMAL)),
    },
    'tokenizer.ggml.merges': { kind: 'array', of: 'string', value: merges },
    'tokenizer.ggml.bos_token_id': { kind: 'u32', value: 1 },
    'tokenizer.ggml.eos_token_id': { kind: 'u32', value: 2 },
    'tokenizer.ggml.unknown_token_id': { kind: 'u32', value: 0 },
    'tokenizer.ggml.add_bos_token': { kind: 'bool', value: 1 },
  };
}

function tensors(config: Record<string, number>): GgufTensorToWrite[] {
  const files: string[] = Object.values(
    JSON.parse(readFileSync(`${MODEL}/model.safetensors.index.json`, 'utf8')).weight_map,
  );
  const stored = [...new Set(files)].flatMap((file) => readTensors(`${MODEL}/${file}`));
  const experts = new Map<string, Uint16Array[]>();
  const heads: Readonly<Record<string, number>> = {
    q_proj: config.num_attention_heads!,
    k_proj: config.num_key_value_heads!,
  };
  const written = stored.flatMap(({ name, shape, data }): GgufTensorToWrite[] => {
    const values = new Uint16Array(data.slice().buffer);
    const [, layer, expert, part] = EXPERT.exec(name) ?? [];
    if (layer) {
      const fused = `blk.${layer.split('.').at(-1)}.ffn_${PARTS[part!]}_exps.weight`;
      if (!experts.has(fused)) experts.set(fused, []);
      experts.get(fused)![Number(expert)] = values;
      return [];
    }
    const projection = heads[name.split('.').at(-2)!];
    const numbers = projection ? interleaved({ shape, values }, projection) : values;
    const exact = shape.length === 1 || name.endsWith('gate.weight');
    const held = exact ? Uint32Array.from(numbers, (bits) => bits << 16) : numbers;
    const [type, ne] = [exact ? Type.F32 : Type.BF16, [...shape].reverse()];
    return [
      { name: ggufName(name, llama), type, ne, data: new Uint8Array(held.buffer, held.byteOffset, held.byteLength) },
    ];
  });
  for (const [name, parts] of experts) {
    const [hidden, width] = [config.hidden_size!, config.intermediate_size!];
    const ne = [...(name.includes('down') ? [width, hidden] : [hidden, width]), parts.length];
    written.push({ name, type: Type.BF16, ne, data: new Uint8Array(joined(parts).buffer) });
  }
  return written;
}
