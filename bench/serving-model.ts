import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const [LAYERS, HIDDEN, WIDTH, EXPERTS, VOCABULARY] = [12, 1024, 2048, 8, 4096];
const [HEADS, KV_HEADS, HEAD_SIZE] = [16, 2, 64];

/**
 * Writes a Mixtral of 1.3 GB whose weights are made up, with the bundled model's tokenizer: a token of it takes as long as
 * tokens of models do that people use, 365 MB of weights.
 */
export function writeModel(dir: string): void {
  mkdirSync(dir, { recursive: true });
  copyFileSync('models/mini-mixtral/tokenizer.json', join(dir, 'tokenizer.json'));
  const config = {
    ...{ model_type: 'mixtral', vocab_size: VOCABULARY, hidden_size: HIDDEN, intermediate_size: WIDTH },
    ...{ num_hidden_layers: LAYERS, num_attention_heads: HEADS, num_key_value_heads: KV_HEADS, head_dim: HEAD_SIZE },
    ...{ hidden_act: 'silu', max_position_embeddings: 2048, rms_norm_eps: 1e-5, tie_word_embeddings: true },
    ...{ num_experts_per_tok: 2, num_local_experts: EXPERTS, bos_token_id: 1, eos_token_id: 2 },
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  const header: Record<string, object> = {};
  let bytes = 0;
  for (const [name, shape] of shapes()) {
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

function* shapes(): Generator<[name: string, shape: number[]]> {
  yield ['model.embed_tokens.weight', [VOCABULARY, HIDDEN]];
  yield ['model.norm.weight', [HIDDEN]];
  for (let l = 0; l < LAYERS; l++) {
    const layer = `model.layers.${l}`;
    yield [`${layer}.input_layernorm.weight`, [HIDDEN]];
    yield [`${layer}.post_attention_layernorm.weight`, [HIDDEN]];
    for (const name of ['q', 'k', 'v', 'o']) {
      const out = name === 'q' || name === 'o' ? HIDDEN : KV_HEADS * HEAD_SIZE;
      yield [`${layer}.self_attn.${name}_proj.weight`, [out, HIDDEN]];
    }
    yield [`${layer}.block_sparse_moe.gate.weight`, [EXPERTS, HIDDEN]];
    for (let e = 0; e < EXPERTS; e++) {
      const expert = `${layer}.block_sparse_moe.experts.${e}`;
      yield [`${expert}.w1.weight`, [WIDTH, HIDDEN]];
      yield [`${expert}.w2.weight`, [HIDDEN, WIDTH]];
      yield [`${expert}.w3.weight`, [WIDTH, HIDDEN]];
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
