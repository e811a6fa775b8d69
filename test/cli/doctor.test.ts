import { describe, expect, it } from 'vitest';
import { FAMILIES } from '../../src/models/index.js';
import { loadExpertKernels } from '../../src/native/kernels.js';
import { fiddler, jsonLines } from './fiddler.js';

describe('fiddler doctor', () => {
  const families = FAMILIES.map(({ name, modelType }) => name ?? modelType);

  it('names every family', async () => {
    const { code, stdout } = await fiddler(['doctor']);
    expect(code).toBe(0);
    expect(stdout).toContain(`families  ${families.join(', ')}\n`);
    expect(new Set(families).size).toBe(FAMILIES.length);
    const [found] = jsonLines((await fiddler(['doctor', '--json'])).stdout);
    expect(found.families).toEqual(families);
  });

  it('names the kernels that compute experts beside a GPU, by type', async () => {
    const { stdout } = await fiddler(['doctor']);
    const kernel = loadExpertKernels()?.name;
    if (kernel === undefined) expect(stdout).toContain("by ggml's kernels: native ones were not built\n");
    else {
      expect(stdout).toMatch(
        new RegExp(`experts beside a GPU +.*Q4_K, Q5_K, Q6_K.* by ${kernel}\n +IQ1_S, .* by ggml\n`),
      );
    }
  });
});
