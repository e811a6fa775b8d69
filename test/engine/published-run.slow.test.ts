import { describe, expect, it } from 'vitest';
import { benchmark, contendersOf } from '../../src/engine/benchmark.js';
import { loadSource } from '../../src/engine/load.js';
import { POLICIES, policyNamed } from '../../src/experts/policies/index.js';
import { describe as describeModel } from '../../src/loading/blueprint.js';
import { syntheticSource } from '../../src/loading/synthetic.js';
import { FAMILIES, familyOf } from '../../src/models/index.js';
import { expertLayersOf } from '../../src/models/model.js';
import { PUBLISHED } from '../../src/models/published/index.js';
import type { JsonObject } from '../../src/weights/config.js';

/** One of each family, with so many layers that one of them has experts. */
const LAYERS: Record<string, number> = {
  'mixtral-8x7b': 1,
  'qwen1.5-moe-a2.7b': 1,
  'qwen3-30b-a3b': 1,
  'olmoe-1b-7b': 1,
  'phi-3.5-moe': 1,
  'deepseek-moe-16b': 2,
  'deepseek-v2-lite': 2,
  'deepseek-v3': 2,
  'deepseek-v3.2': 2,
  'deepseek-v4-flash': 4,
  'glm-5': 2,
  'gpt-oss-20b': 2,
  'granite-3.1-1b-a400m': 2,
  'glm-4.5-air': 2,
  'ernie-4.5-21b-a3b': 2,
  'openmoe-8b': 2,
  'switch-base-8': 2,
  'qwen3-vl-30b-a3b': 1,
  'qwen3-next-80b-a3b': 4,
  'qwen3.5-35b-a3b': 4,
  'qwen3.8-flash-next': 4,
  'lfm2-8b-a1b': 3,
  'granite-4.0-h-tiny': 6,
  'nemotron-3-nano-30b-a3b': 7,
  'nemotron-3-super-120b-a12b': 2,
  'dots.llm1': 2,
  'k-exaone-236b-a23b': 2,
  'glm-4.7-flash': 2,
  'hunyuan-a13b': 1,
  hy3: 2,
  'laguna-xs.2': 2,
  'mimo-v2-flash': 2,
  'minimax-m2': 1,
  'solar-open-100b': 1,
  'kimi-linear-48b-a3b': 4,
  'kimi-k2': 2,
  'kimi-k2.5': 2,
  'mistral-small-4': 1,
  'trinity-mini': 3,
  'gemma-4-26b-a4b': 1,
  'north-mini': 2,
};

/** Whose smallest number of layers takes gigabytes has less of them here, or copies of experts that are stored otherwise. */
const FEWER: Record<string, JsonObject> = {
  'deepseek-v3': { first_k_dense_replace: 1, n_routed_experts: 16, vocab_size: 4096 },
  'deepseek-v3.2': { first_k_dense_replace: 1, n_routed_experts: 16, vocab_size: 4096 },
  'deepseek-v4-flash': { n_routed_experts: 16, vocab_size: 4096 },
  'glm-5': { first_k_dense_replace: 1, n_routed_experts: 16, vocab_size: 4096 },
  'glm-4.5-air': { n_routed_experts: 16 },
  'openmoe-8b': { moe_layer_interval: 2, num_experts: 2 },
  'k-exaone-236b-a23b': { num_experts: 16 },
  'qwen3-next-80b-a3b': { num_experts: 16 },
  'qwen3.5-35b-a3b': { num_experts: 16 },
  'qwen3.8-flash-next': { num_experts: 16, vocab_size: 4096 },
  'granite-4.0-h-tiny': { num_local_experts: 16 },
  'nemotron-3-nano-30b-a3b': { n_routed_experts: 16 },
  'nemotron-3-super-120b-a12b': { n_routed_experts: 32 },
  'hunyuan-a13b': { num_experts: 16 },
  hy3: { num_experts: 16 },
  'mimo-v2-flash': { n_routed_experts: 16 },
  'minimax-m2': { num_local_experts: 16 },
  'kimi-linear-48b-a3b': { num_experts: 16, vocab_size: 4096 },
  'kimi-k2': { n_routed_experts: 16 },
  'kimi-k2.5': { n_routed_experts: 16 },
  'mistral-small-4': { n_routed_experts: 16 },
};

/** @param fewer of the text model, where that is a part of the config */
function withFewer(config: JsonObject, fewer: JsonObject): JsonObject {
  const { text_config: text } = config;
  return text ? { ...config, text_config: { ...(text as JsonObject), ...fewer } } : { ...config, ...fewer };
}

describe('a published shape with few layers', () => {
  it('is tried for every family', () => {
    expect(new Set(Object.keys(LAYERS).map((name) => familyOf(PUBLISHED[name]!)))).toEqual(new Set(FAMILIES));
  });

  it.each(Object.entries(LAYERS))('computes every token, in prefill and in decoding: %s', (name, layers) => {
    // Memory that nothing was written to reads as zeros, and takes none.
    const whole = syntheticSource(name, { layers, empty: true });
    const source = { ...whole, config: withFewer(whole.config, FEWER[name] ?? {}) };
    const { encoder, ...spec } = describeModel(source).spec;
    const experts = expertLayersOf({ encoder, ...spec }).reduce((sum, { count }) => sum + count, 0);
    const options = { accelerator: 'host', threads: 1, ctx: 64, expertsResident: 2 / experts } as const;
    // The others measure costs first.
    const names = POLICIES.filter(({ byCost }) => !byCost).map((policy) => policy.name);
    const session = loadSource(source, { ...options, policy: 'static' }, names.map(policyNamed));
    try {
      const logits = session.prefill([5, 6, 7], 0);
      expect(logits).toHaveLength(spec.vocabulary);
      expect(logits.every(Number.isFinite)).toBe(true);
      const workloads = [{ kind: 'decode', tokens: 2, past: 4 } as const];
      const found = benchmark(session, { contenders: contendersOf(names, false), workloads, repeats: 1, patience: 60 });
      expect(found.map(({ policy }) => policy)).toEqual(names);
      const chosen = spec.layers.reduce((sum, { moe }) => sum + (moe?.router.chosen ?? 0), 0);
      for (const { lanes, policy } of found) {
        const served = Object.values(lanes).reduce((sum, lane) => sum + lane.experts, 0);
        expect(served, policy).toBe(2 * chosen);
      }
    } finally {
      session.close();
    }
  });
});
