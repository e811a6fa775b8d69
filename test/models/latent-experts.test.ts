import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import type { LoadOptions } from '../../src/options.js';
import { sameAsAlone } from '../engine/batching.js';
import { generate, tokensOf } from '../engine/recurrent.js';
import { latentModels } from '../support/latent-models.js';

describe.each([32, 96])('experts that read a latent of %d numbers', (size) => {
  const settings: (LoadOptions & { name: string })[] = [
    { name: 'none', accelerator: 'none' },
    { name: 'none, with ggml alone', accelerator: 'none', cpuKernels: 'ggml' },
    { name: 'host, 0% resident', accelerator: 'host', expertsResident: 0 },
    { name: 'host, 50% resident, prefetch', accelerator: 'host', expertsResident: 0.5, policy: 'lru', prefetch: true },
    { name: 'host, 100% resident', accelerator: 'host', expertsResident: 1 },
  ];

  it.each(settings)('compute what others do that have the projections in their matrices: $name', ({ name, ...own }) => {
    const { latent, folded } = latentModels(size);
    const prompt = tokensOf(40, size);
    const [found, expected] = [latent, folded].map((dir) => {
      const accelerator = dir === folded ? 'none' : own.accelerator;
      const options = { dtype: 'f32', ctx: 128, threads: 1, profile: false, chunk: 7 } as const;
      const session = loadEngine(dir, { ...options, ...(dir === folded ? {} : own), accelerator });
      try {
        return generate(session, prompt, 12);
      } finally {
        session.close();
      }
    });
    expect(found!.tokens).toEqual(expected!.tokens);
    for (const [i, logprob] of found!.likeliest.entries()) expect(logprob).toBeCloseTo(expected!.likeliest[i]!, 4);
  });

  it('give each of several sequences what it gives alone', () => {
    sameAsAlone({ accelerator: 'host', model: latentModels(size).latent, runs: 4, shared: 60, options: { ctx: 160 } });
  });
});
