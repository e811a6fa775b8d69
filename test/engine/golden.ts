import { describe, expect, it } from 'vitest';
import { POLICIES } from '../../src/experts/policies/index.js';
import { loadExpertKernels } from '../../src/ggml/experts.js';
import { runScript } from '../support/command.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

/** One run of the golden check. */
export interface GoldenRun {
  accelerator: 'none' | 'host' | 'vulkan';
  dtype: 'f32' | 'auto';
  models: readonly string[];
  /** In percent; `none` has none. */
  residencies?: readonly number[];
  /** Most prompts of a model, and most tokens after each. */
  cases?: number;
  tokens?: number;
  /** A cache of streamed experts of so many bytes, and prefetch with every policy. */
  expertCache?: number;
  /** What computes experts on the CPU; by default what a user gets. */
  cpuKernels?: 'native' | 'ggml';
}

const missing = vulkanMissing();
/** Why the native kernels are not tested, if so. */
export const unbuilt = loadExpertKernels() ? undefined : 'the native CPU kernels were not built';
if (unbuilt) console.warn(`Native kernels are NOT tested: ${unbuilt}`);
if (missing) console.warn(`Vulkan is NOT tested: ${missing}`);

/** Compares logits, greedy tokens and lane counts with the expected ones, in one process with a row for each setting. */
export function goldenTest(run: GoldenRun): void {
  const { accelerator, dtype, models, residencies = [0, 25, 50, 100], cases, tokens, expertCache, cpuKernels } = run;
  const args = ['--accelerator', accelerator, '--dtype', dtype, '--residency', residencies.join(',')];
  for (const model of models) args.push('--model', model);
  if (cases) args.push('--cases', `${cases}`);
  if (tokens) args.push('--tokens', `${tokens}`);
  if (expertCache) args.push('--expert-cache', `${expertCache}`, '--prefetch', 'on');
  if (cpuKernels) args.push('--cpu-kernels', cpuKernels);
  const rows = models.length * POLICIES.length * (accelerator === 'none' ? 1 : residencies.length);
  const skipped = (accelerator === 'vulkan' ? missing : undefined) ?? (cpuKernels === 'native' ? unbuilt : undefined);
  const title = [`${accelerator} ${dtype}`];
  if (expertCache) title.push('expert cache and prefetch');
  if (cpuKernels) title.push(`${cpuKernels} CPU kernels`);

  describe(title.join(', '), () => {
    it.skipIf(skipped)(
      `${models.join(', ')}: ${rows} rows${skipped ? ` (skipped: ${skipped})` : ''}`,
      async () => {
        const env: Record<string, string> = accelerator === 'vulkan' ? SOFTWARE_VULKAN : {};
        const { code, stdout, stderr } = await runScript('dist/bench/golden.js', args, env);
        const output = `${stdout}${stderr}`;
        expect(output.match(/^FAIL.*(\n +.*)*/gm) ?? [], output).toEqual([]);
        expect(output.match(/^ok .*/gm), output).toHaveLength(rows);
        expect(code, output).toBe(0);
      },
      1_800_000,
    );
  });
}
