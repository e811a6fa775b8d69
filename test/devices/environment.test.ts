import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const VARIABLES = ['NVIDIA_TF32_OVERRIDE', 'GGML_VK_DISABLE_F16'] as const;

beforeEach(() => {
  vi.resetModules(); // as in a process that has just begun
  for (const variable of VARIABLES) vi.stubEnv(variable, undefined);
});
afterEach(() => vi.unstubAllEnvs());

const fresh = () => import('../../src/devices/environment.js');
const GPUS = ['cuda', 'vulkan'] as const;

describe('float32 on a GPU', () => {
  it('is exact in a process that begins with it, and stays so', async () => {
    const { prepareEnvironment, checkExactness } = await fresh();
    prepareEnvironment({ dtype: 'f32' });
    prepareEnvironment({});
    prepareEnvironment({ dtype: 'f32' });
    for (const library of GPUS) checkExactness(library, 'f32');
  });

  it('is refused behind a model in its stored type, whose library has read the environment', async () => {
    const { prepareEnvironment, checkExactness } = await fresh();
    prepareEnvironment({ dtype: 'auto', accelerator: 'vulkan' });
    prepareEnvironment({ dtype: 'f32', accelerator: 'vulkan' });
    for (const library of GPUS)
      expect(() => checkExactness(library, 'f32')).toThrow(/less exactly.*process of its own/);
    for (const library of GPUS) checkExactness(library, 'auto');
    checkExactness(undefined, 'f32');
  });

  it('is exact behind models that used no GPU, and where the user chose otherwise it is as chosen', async () => {
    const { prepareEnvironment, checkExactness } = await fresh();
    prepareEnvironment({ accelerator: 'none' });
    prepareEnvironment({ dtype: 'f32' });
    for (const library of GPUS) checkExactness(library, 'f32');
    vi.stubEnv(VARIABLES[0], '1');
    prepareEnvironment({ dtype: 'f32' });
    expect(process.env[VARIABLES[0]]).toBe('1');
  });
});
