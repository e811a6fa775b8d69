import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Of a Mixtral with heads of 64 numbers. */
export interface ModelSizes {
  layers: number;
  hidden: number;
  width: number;
  experts: number;
  vocabulary: number;
}

const [KV_HEADS, HEAD_SIZE] = [2, 64];

/** 1.3 GB; a token takes as long as tokens of models do that people use, 365 MB of weights. */
const SERVED: ModelSizes = { layers: 12, hidden: 1024, width: 2048, experts: 8, vocabulary: 4096 };

/** Writes a Mixtral in bf16 whose weights are made up, with the bundled model's tokenizer. */
export function writeModel(dir: string, sizes = SERVED): void {
  const { layers, hidden, width, experts, vocabulary } = sizes;
  mkdirSync(dir, { recursive: true });
  copyFileSync('models/mini-mixtral/tokenizer.json', join(dir, 'tokenizer.json'));
  const config = {
    ...{ model_type: 'mixtral', vocab_size: vocabulary, hidden_size: hidden, intermediate_size: width },
    ...{ num_hidden_layers: layers, num_attention_heads: hidden / HEAD_SIZE, num_key_value_heads: KV_HEADS },
    ...{ head_dim: HEAD_SIZE, hidden_act: 'silu', max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
    ...{ tie_word_embeddings: true, num_experts_per_tok: 2, num_local_experts: experts },
    ...{ bos_token_id: 1, eos_token_id: 2 },
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  const header: Record<string, object> = {};
  let bytes = 0;
  for (const [name, shape] of shapes(sizes)) {
    const end = bytes + shape.reduce((a, b) => a * b, 2);
    header[name] = { dtype: 'BF16', shape, data_offsets: [bytes, end] };
    bytes = end;
  }
  const text = JSON.stringify(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const file = openSync(join(dir, 'model.safetensors'), 'w');
  writeSync(file, length);
  writeSync(file, text);
  const block = numbers();
  for (let at = 0; at < bytes; at += block.length) writeSync(file, block, 0, Math.min(block.length, bytes - at));
  closeSync(file);
}

function* shapes({
  layers,
  hidden,
  width,
  experts,
  vocabulary,
}: ModelSizes): Generator<[name: string, shape: number[]]> {
  yield ['model.embed_tokens.weight', [vocabulary, hidden]];
  yield ['model.norm.weight', [hidden]];
  for (let l = 0; l < layers; l++) {
    const layer = `model.layers.${l}`;
    yield [`${layer}.input_layernorm.weight`, [hidden]];
    yield [`${layer}.post_attention_layernorm.weight`, [hidden]];
    for (const name of ['q', 'k', 'v', 'o']) {
      const out = name === 'q' || name === 'o' ? hidden : KV_HEADS * HEAD_SIZE;
      yield [`${layer}.self_attn.${name}_proj.weight`, [out, hidden]];
    }
    yield [`${layer}.block_sparse_moe.gate.weight`, [experts, hidden]];
    for (let e = 0; e < experts; e++) {
      const expert = `${layer}.block_sparse_moe.experts.${e}`;
      yield [`${expert}.w1.weight`, [width, hidden]];
      yield [`${expert}.w2.weight`, [hidden, width]];
      yield [`${expert}.w3.weight`, [width, hidden]];
    }
  }
}

/** Four megabytes of bfloat16 numbers from 0.008 to 0.03 of either sign; an odd count, so that rows differ. */
function numbers(): Buffer {
  const values = new Uint16Array((1 << 21) - 1);
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = ((state >>> 16) & 0x80ff) | 0x3c00;
  }
  return Buffer.from(values.buffer);
}
