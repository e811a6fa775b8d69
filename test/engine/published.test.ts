import { describe, expect, it } from 'vitest';
import { describe as describeModel } from '../../src/loading/blueprint.js';
import { syntheticSource, syntheticTensors } from '../../src/loading/synthetic.js';
import { FAMILIES, familyOf } from '../../src/models/index.js';
import { layersOf } from '../../src/models/model.js';
import { PUBLISHED } from '../../src/models/published/index.js';

/** Parameters in billions, as published by whom; `within` is the rounding of a figure that is coarser than 1.5%. */
const FIGURES: Record<string, { billions: number; source: string; within?: number }> = {
  'mixtral-8x7b': { billions: 46.7, source: 'mistral.ai, Mixtral of experts' },
  'mixtral-8x22b': { billions: 141, source: 'mistral.ai, Cheaper, Better, Faster, Stronger' },
  'qwen1.5-moe-a2.7b': { billions: 14.3, source: 'its README' },
  'qwen2-57b-a14b': { billions: 57, source: 'arXiv 2407.10671' },
  'qwen3-30b-a3b': { billions: 30.5, source: 'its README' },
  'qwen3-235b-a22b': { billions: 235, source: 'its README' },
  'olmoe-1b-7b': { billions: 6.9, source: 'arXiv 2409.02060' },
  'phi-3.5-moe': { billions: 41.9, source: 'size of its safetensors on the hub' },
  'deepseek-moe-16b': { billions: 16.4, source: 'arXiv 2401.06066' },
  'deepseek-v2-lite': { billions: 15.7, source: 'arXiv 2405.04434' },
  'deepseek-v2': { billions: 236, source: 'arXiv 2405.04434' },
  'deepseek-v3': { billions: 671, source: 'arXiv 2412.19437' },
  'deepseek-v3.2': { billions: 671, source: 'arXiv 2512.02556: as V3, and the indexers' },
  'deepseek-v4-flash': { billions: 284, source: 'its model card' },
  'deepseek-v4-pro': { billions: 1600, source: 'its model card, rounded', within: 0.03 },
  'glm-5': { billions: 744, source: 'its README' },
  'gpt-oss-20b': { billions: 20.91, source: 'arXiv 2508.10925' },
  'gpt-oss-120b': { billions: 116.83, source: 'arXiv 2508.10925' },
  'granite-3.1-1b-a400m': { billions: 1.3, source: 'its README', within: 0.05 / 1.3 },
  'glm-4.5-air': { billions: 106, source: 'arXiv 2508.06471' },
  'glm-4.5': { billions: 355, source: 'arXiv 2508.06471' },
  'ernie-4.5-21b-a3b': { billions: 21.83, source: "llama.cpp's count of its tensors" },
  // The paper's 8.7 counts a gate as wide as the expert; in the published weights it is twice that.
  'openmoe-8b': { billions: 49 / 4, source: 'its README: about 49 GB in float32', within: 0.04 },
  'glm-4.7-flash': { billions: 30, source: 'its model card, rounded', within: 0.04 },
  'minimax-m2': { billions: 230, source: 'its README' },
  'kimi-k2': { billions: 1000, source: 'arXiv 2507.20534, rounded', within: 0.03 },
  'kimi-k2.5': { billions: 1000, source: 'its README, rounded', within: 0.03 },
  'kimi-linear-48b-a3b': { billions: 48, source: 'its name, rounded', within: 0.03 },
  'dots.llm1': { billions: 142, source: 'arXiv 2506.05767' },
  'hunyuan-a13b': { billions: 80, source: 'its README, rounded', within: 0.01 },
  hy3: { billions: 295, source: 'its README' },
  'k-exaone-236b-a23b': { billions: 236, source: 'its README' },
  'laguna-xs.2': { billions: 33, source: 'its model card, rounded', within: 0.02 },
  'mimo-v2-flash': { billions: 309, source: 'its README' },
  'solar-open-100b': { billions: 102.6, source: 'its model card' },
  'qwen3-vl-30b-a3b': { billions: 30.5, source: 'the text model, arXiv 2505.09388' },
  'qwen3-vl-235b-a22b': { billions: 235, source: 'the text model, arXiv 2505.09388' },
  'qwen3-next-80b-a3b': { billions: 80, source: 'its README, rounded', within: 0.02 },
  'lfm2-8b-a1b': { billions: 8.3, source: 'its model card' },
  'granite-4.0-h-tiny': { billions: 7, source: 'its model card, rounded', within: 0.02 },
  'granite-4.0-h-small': { billions: 32, source: 'its model card, rounded', within: 0.02 },
  'nemotron-3-nano-30b-a3b': { billions: 31.6, source: 'its model card' },
  'nemotron-3-super-120b-a12b': { billions: 120.6, source: 'its model card' },
  'qwen3.5-35b-a3b': { billions: 35, source: 'its README, rounded', within: 0.02 },
  'qwen3.5-397b-a17b': { billions: 397, source: 'its README, rounded', within: 0.01 },
  'qwen3.8-flash-next': { billions: 176, source: 'its README: 125, and 51 of n-grams', within: 0.02 },
  'mistral-small-4': { billions: 119, source: 'its name' },
  'trinity-mini': { billions: 26, source: 'its model card, rounded', within: 0.02 },
  'north-mini': { billions: 30, source: 'its model card, rounded', within: 0.04 },
  'gemma-4-26b-a4b': { billions: 25.2, source: 'its model card, the text model', within: 0.02 },
  'switch-base-8': { billions: gibibytes(2.298), source: 'arXiv 2310.18859, table 2' },
  'switch-base-64': { billions: gibibytes(14.112), source: 'arXiv 2310.18859, table 2' },
  'switch-base-128': { billions: gibibytes(27.614), source: 'arXiv 2310.18859, table 2' },
  'switch-base-256': { billions: gibibytes(54.62), source: 'arXiv 2310.18859, table 2' },
};

/** Billions of parameters that take so many GiB in float32. */
function gibibytes(size: number): number {
  return (size * 2 ** 30) / 4 / 1e9;
}

/** Billions of parameters; of packed ones two share a byte, and scales count as none. */
function parameters(name: string): number {
  const { spec, declarations } = describeModel(syntheticSource(name, { empty: true }));
  const counts = syntheticTensors(spec, declarations).map(({ shape, dtype, name: tensor }) => {
    const stored = shape.reduce((product, extent) => product * extent, 1);
    return dtype === 'BF16' ? stored : tensor.endsWith('_blocks') ? 2 * stored : 0;
  });
  return counts.reduce((sum, count) => sum + count, 0) / 1e9;
}

const names = Object.keys(PUBLISHED);

describe('a published shape', () => {
  it('is there for every family', () => {
    expect(new Set(names.map((name) => familyOf(PUBLISHED[name]!)))).toEqual(new Set(FAMILIES));
  });

  it.each(names.filter((name) => name in FIGURES))('has as many parameters as published: %s', (name) => {
    const { billions, within = 0.015 } = FIGURES[name]!;
    const counted = parameters(name);
    expect(Math.abs(counted / billions - 1), `${counted} instead of ${billions}`).toBeLessThan(within);
  });

  it('has a published number of parameters, or differs from one that has only in its number of experts', () => {
    for (const name of names.filter((n) => !(n in FIGURES))) {
      const series = names.filter((n) => {
        const { num_experts: _, ...shape } = PUBLISHED[n]!;
        const { num_experts, ...own } = PUBLISHED[name]!;
        return n in FIGURES && num_experts !== undefined && JSON.stringify(shape) === JSON.stringify(own);
      });
      expect(series.length, name).toBeGreaterThan(1);
    }
  });

  it.each(names)('has no more experts for a token than a layer has, and layers with them: %s', (name) => {
    const moes = layersOf(describeModel(syntheticSource(name, { empty: true })).spec).flatMap(({ moe }) => moe ?? []);
    expect(moes.length).toBeGreaterThan(0);
    for (const { experts, router } of moes) expect(router.chosen).toBeLessThanOrEqual(experts.count);
  });
});
