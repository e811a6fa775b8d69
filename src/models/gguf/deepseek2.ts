import type { GgufArchitecture } from './architecture.js';
import type { GgufKeys } from './keys.js';
import { latentConfig } from './latent.js';

/** Vocabulary of GLM-4.7-Flash, whose first files name no gating. */
const GLM_VOCABULARY = 154_880;

/** Multi-head latent attention: DeepSeek-V2 and V3, and those that are built like V3 (Kimi-K2, GLM-4.7-Flash). */
export const deepseek2: GgufArchitecture = {
  name: 'deepseek2',
  config(keys) {
    const config = latentConfig(keys);
    if (usesSigmoid(keys)) return { ...config, model_type: 'deepseek_v3' };
    const grouped = (config.n_group as number) > 1;
    return { ...config, model_type: 'deepseek_v2', topk_method: grouped ? 'group_limited_greedy' : 'greedy' };
  },
};

function usesSigmoid(keys: GgufKeys): boolean {
  const { gating } = keys;
  if (gating === undefined) return keys.shape('token_embd.weight')[0] === GLM_VOCABULARY;
  if (gating !== 'sigmoid' && gating !== 'softmax') keys.refuse('expert_gating_func', `is ${gating}`);
  return gating === 'sigmoid';
}
