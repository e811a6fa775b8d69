import { describe, expect, it } from 'vitest';
import { POLICIES } from '../../src/experts/policies/index.js';
import { runScript } from '../support/command.js';
import { kernelsMissing } from '../support/kernels.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

/** One run of the golden check. */
export interface GoldenRun {
  accelerator: 'none' | 'host' | 'vulkan';
  dtype: 'f32' | 'auto';
  models: readonly string[];
  /** All of them by default. */
  policies?: readonly string[];
  /** In percent; `none` has none. */
  residencies?: readonly number[];
  /** Most prompts of a model, and most tokens after each. */
  cases?: number;
  tokens?: number;
  /** Most tokens of a sequence in a call. */
  chunk?: number;
  /** A cache of streamed experts of so many bytes, and prefetch with every policy. */
  expertCache?: number;
  /** What computes experts on the CPU; by default what a user gets. */
  cpuKernels?: 'native' | 'ggml';
  /** Folder of files NAME.gguf that are loaded in place of the models. */
  gguf?: string;
}

const missing = vulkanMissing();
/** Why the native kernels are not tested, if so. */
export const unbuilt = kernelsMissing();
if (unbuilt) console.warn(`Native kernels are NOT tested: ${unbuilt}`);
if (missing) console.warn(`Vulkan is NOT tested: ${missing}`);

/** Compares logits, greedy tokens and lane counts with the expected ones, in one process with a row for each setting. */
export function goldenTest(run: GoldenRun): void {
  const {
    accelerator,
    dtype,
    models,
    policies,
    residencies = [0, 25, 50, 100],
    cases,
    tokens,
    chunk,
    expertCache,
    cpuKernels,
    gguf,
  } = run;
  const args = ['--accelerator', accelerator, '--dtype', dtype, '--residency', residencies.join(',')];
  for (const model of models) args.push('--model', model);
  if (policies) args.push('--policy', policies.join(','));
  if (cases) args.push('--cases', `${cases}`);
  if (tokens) args.push('--tokens', `${tokens}`);
  if (chunk) args.push('--chunk', `${chunk}`);
  if (expertCache) args.push('--expert-cache', `${expertCache}`, '--prefetch', 'on');
  if (cpuKernels) args.push('--cpu-kernels', cpuKernels);
  if (gguf) args.push('--gguf', gguf);
  const rows = models.length * (policies ?? POLICIES).length * (accelerator === 'none' ? 1 : residencies.length);
  const skipped = (accelerator === 'vulkan' ? missing : undefined) ?? (cpuKernels === 'native' ? unbuilt : undefined);
  const title = [`${accelerator} ${dtype}`];
  if (expertCache) title.push('expert cache and prefetch');
  if (chunk) title.push(`calls of ${chunk} tokens`);
  if (gguf) title.push('GGUF');
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
