import { describe, expect, it, vi } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';
import { generate, tokensOf } from '../engine/recurrent.js';
import { latentModels } from '../support/latent-models.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

// Read by ggml's libraries when they load, which is with the first model here.
for (const [name, value] of Object.entries(SOFTWARE_VULKAN)) vi.stubEnv(name, value);
prepareEnvironment({ dtype: 'f32' });

describe.skipIf(vulkanMissing())('experts that read a latent on software Vulkan', () => {
  it('compute what others do that have the projections in their matrices', () => {
    const { latent, folded } = latentModels(32);
    const answer = (dir: string, own: LoadOptions) => {
      const options = { dtype: 'f32', ctx: 128, threads: 1, profile: false, policy: 'lru', ...own } as const;
      const session = loadEngine(dir, options);
      try {
        return generate(session, tokensOf(24, 1), 4);
      } finally {
        session.close();
      }
    };
    const found = answer(latent, { accelerator: 'vulkan', expertsResident: 0.5 });
    const expected = answer(folded, { accelerator: 'none' });
    expect(found.tokens).toEqual(expected.tokens);
    for (const [i, logprob] of found.likeliest.entries()) expect(logprob).toBeCloseTo(expected.likeliest[i]!, 3);
  }, 600_000);
});
