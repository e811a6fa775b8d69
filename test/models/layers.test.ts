import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/weights/config.js';
import { describeModel, golden } from './described.js';

/** Which layers have routed experts and which have what every token passes through. */
function layout(config: JsonObject) {
  return describeModel(config).spec.layers.map(({ moe, dense }) => `${moe ? 'experts' : ''}${dense ? '+dense' : ''}`);
}

describe('layers with experts', () => {
  it('are every decoder_sparse_step-th, but for mlp_only_layers', () => {
    const config = { ...golden('qwen3_moe'), num_hidden_layers: 6, decoder_sparse_step: 2, mlp_only_layers: [3] };
    expect(layout(config)).toEqual(['+dense', 'experts', '+dense', '+dense', '+dense', 'experts']);
  });

  it('follow the first dense ones, and have shared experts beside', () => {
    expect(layout(golden('deepseek_moe'))).toEqual(['+dense', 'experts+dense', 'experts+dense']);
    expect(layout({ ...golden('deepseek_moe'), n_shared_experts: null })).toEqual(['+dense', 'experts', 'experts']);
    expect(layout({ ...golden('glm4_moe'), first_k_dense_replace: 2 })).toEqual(['+dense', '+dense', 'experts+dense']);
  });

  it('are the last of each interval, and have a further block behind them', () => {
    const config = { ...golden('openmoe'), num_hidden_layers: 7, moe_layer_interval: 3 };
    expect(layout(config)).toEqual(['+dense', '+dense', 'experts', '+dense', '+dense', 'experts', '+dense']);
    const behind = describeModel(config).spec.layers.map(({ epilogue }) => epilogue !== undefined);
    expect(behind).toEqual([false, false, true, false, false, true, false]);
  });

  it('lie between two numbers, and an interval apart', () => {
    const config = { ...golden('ernie4_5_moe'), num_hidden_layers: 6, moe_layer_end_index: 4, moe_layer_interval: 2 };
    expect(layout(config)).toEqual(['+dense', 'experts+dense', '+dense', 'experts+dense', '+dense', '+dense']);
    expect(layout({ ...config, moe_layer_end_index: -1, moe_num_shared_experts: 0 }).at(-1)).toBe('experts');
  });
});

describe('tensors that a config asks for', () => {
  const names = (config: JsonObject) => new Set(describeModel(config).declare.parameters.map((p) => p.name));

  it('have biases where it says so', () => {
    const at = 'model.layers.0.self_attn';
    const all = ['q', 'k', 'v', 'o'].map((p) => `${at}.${p}_proj.bias`);
    const biases = (config: JsonObject) => all.filter((name) => names(config).has(name));
    expect(biases(golden('qwen2_moe'))).toEqual(all.slice(0, 3));
    expect(biases({ ...golden('qwen2_moe'), qkv_bias: false })).toEqual([]);
    expect(biases({ ...golden('glm4_moe'), attention_bias: true })).toEqual(all.slice(0, 3));
    for (const model of ['qwen3_moe', 'olmoe', 'phimoe', 'granitemoe', 'deepseek_moe']) {
      expect(biases({ ...golden(model), attention_bias: true }), model).toEqual(all);
      expect(biases({ ...golden(model), attention_bias: false }), model).toEqual([]);
    }
  });

  it('are the embeddings where the head is tied to them', () => {
    expect(names({ ...golden('olmoe'), tie_word_embeddings: true }).has('lm_head.weight')).toBe(false);
    const { tie_word_embeddings, ...ernie } = golden('ernie4_5_moe');
    expect(tie_word_embeddings).toBe(false);
    expect(names(ernie).has('lm_head.weight')).toBe(false);
  });

  it('hold gate and up of an expert behind each other where they are fused', () => {
    const { experts } = describeModel(golden('granitemoe')).spec.layers[1]!.moe!;
    const input = 'model.layers.1.block_sparse_moe.input_linear.weight';
    expect(experts.matrices(3)).toEqual({
      gate: { name: input, index: 3, rows: { from: 0, of: 128 } },
      up: { name: input, index: 3, rows: { from: 64, of: 128 } },
      down: { name: 'model.layers.1.block_sparse_moe.output_linear.weight', index: 3 },
    });
  });

  it('hold the two halves of a gate as columns where experts are stored transposed', () => {
    const { experts } = describeModel(golden('openmoe')).spec.layers[1]!.moe!;
    const of = (name: string) => ({ name: `model.layers.1.mlp.experts.${name}`, index: 5, transposed: true });
    expect(experts.matrices(5)).toEqual({
      gate: { ...of('wi_gate'), rows: { from: 96, of: 192 } },
      value: { ...of('wi_gate'), rows: { from: 0, of: 192 } },
      up: of('wi_up'),
      down: of('wo'),
    });
  });
});
