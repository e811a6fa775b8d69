import { expect, it } from 'vitest';
import { runScript } from '../support/command.js';
import { SOFTWARE_VULKAN, vulkanMissing } from '../support/vulkan.js';

export interface FaultRun {
  accelerator: 'none' | 'host' | 'vulkan';
  models: readonly string[];
  /** Of the calls every so many-th fails. */
  every: number;
  /** All calls behind it fail too. */
  always?: boolean;
  policy?: string;
  cpuKernels?: 'native' | 'ggml';
  parts?: readonly string[];
}

/** Fails calls of native code and of files, in a process. */
export function faultTest(run: FaultRun): void {
  const { accelerator, models, every, always, policy, cpuKernels, parts = [] } = run;
  const args = ['--accelerator', accelerator, '--every', `${every}`];
  for (const model of models) args.push('--model', model);
  for (const part of parts) args.push('--part', part);
  if (always) args.push('--always');
  if (policy) args.push('--policy', policy);
  if (cpuKernels) args.push('--cpu-kernels', cpuKernels);
  const missing = accelerator === 'vulkan' ? vulkanMissing() : undefined;
  it.skipIf(missing)(
    `every ${every}th call fails: ${args.join(' ')}${missing ? ` (skipped: ${missing})` : ''}`,
    async () => {
      const env: Record<string, string> = accelerator === 'vulkan' ? SOFTWARE_VULKAN : {};
      const { code, stdout, stderr } = await runScript('dist/bench/faults.js', args, env);
      const output = `${stdout}${stderr}`;
      expect(output.match(/^FAIL.*/gm) ?? [], output).toEqual([]);
      expect(output, output).toMatch(/^\d+ cases, \d+ of which closed the model; 0 problems$/m);
      expect(code, output).toBe(0);
    },
    600_000,
  );
}
