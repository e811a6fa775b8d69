import { type GgufTensorToWrite, type GgufValue, writeGguf } from '../../bench/gguf-writer.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { numbersFrom } from './numbers.js';
import { readGguf } from './rewritten.js';

/** Rows of 256 and more, for types with blocks of 256; from llama.cpp's converter. */
export const MIXTRAL_WIDE = 'test/gguf/mixtral-wide.gguf';

const [LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_SIZE, EXPERTS] = [2, 256, 4, 2, 64, 4];
const OF_LAYER = /^blk\.0\./;

/** Writes a Qwen3-MoE of the same shape in bf16: both layers have the other model's numbers, and norms of heads of their own. */
export function writeQwen3Wide(path: string): void {
  const { tensors } = readGguf(MIXTRAL_WIDE);
  const draw = numbersFrom(3);
  const norm = (name: string): GgufTensorToWrite => {
    const values = Float32Array.from({ length: HEAD_SIZE }, () => 0.5 + draw());
    return { name, type: Type.F32, ne: [HEAD_SIZE], data: new Uint8Array(values.buffer) };
  };
  const layer = (l: number) => [
    ...tensors
      .filter(({ name }) => OF_LAYER.test(name))
      .map((tensor) => ({ ...tensor, name: tensor.name.replace(OF_LAYER, `blk.${l}.`) })),
    norm(`blk.${l}.attn_q_norm.weight`),
    norm(`blk.${l}.attn_k_norm.weight`),
  ];
  const outer = tensors.filter(({ name }) => !OF_LAYER.test(name));
  writeGguf(path, { metadata, tensors: [...outer, ...layer(0), ...layer(1)] });
}

const counts = {
  block_count: LAYERS,
  context_length: 512,
  embedding_length: HIDDEN,
  feed_forward_length: HIDDEN,
  expert_feed_forward_length: HIDDEN,
  'attention.head_count': HEADS,
  'attention.head_count_kv': KV_HEADS,
  'attention.key_length': HEAD_SIZE,
  'attention.value_length': HEAD_SIZE,
  expert_count: EXPERTS,
  expert_used_count: 2,
  vocab_size: 320,
};
const metadata: Readonly<Record<string, GgufValue>> = {
  'general.architecture': { kind: 'string', value: 'qwen3moe' },
  'tokenizer.ggml.model': { kind: 'string', value: 'no_vocab' },
  ...Object.fromEntries(
    Object.entries(counts).map(([key, value]) => [`qwen3moe.${key}`, { kind: 'u32' as const, value }]),
  ),
  'qwen3moe.rope.freq_base': { kind: 'f32', value: 1e4 },
  'qwen3moe.attention.layer_norm_rms_epsilon': { kind: 'f32', value: 1e-6 },
};
