import { FiddlerError } from '../errors.js';
import type { LoadOptions } from '../options.js';

type Asked = Pick<LoadOptions, 'dtype' | 'accelerator'>;

/** By GPU library, the variable without which it multiplies float32 less exactly, and its value. */
const EXACT: Readonly<Record<string, readonly [variable: string, value: string]>> = {
  cuda: ['NVIDIA_TF32_OVERRIDE', '0'], // cuBLAS otherwise multiplies in TF32
  vulkan: ['GGML_VK_DISABLE_F16', '1'], // float32 matrices are otherwise multiplied in float16
};

/** A GPU library may have read the environment: it does so once in a process. */
let read = false;

/**
 * Sets what ggml's libraries read from the environment when they load. Call on the main thread before the engine
 * thread starts: a variable set inside a Worker does not reach native code.
 */
export function prepareEnvironment({ dtype, accelerator }: Asked): void {
  if (dtype === 'f32' && !read) for (const [variable, value] of Object.values(EXACT)) process.env[variable] ??= value;
  // Lets mapped weights be registered as pinned memory.
  process.env.GGML_CUDA_REGISTER_HOST ??= '1';
  read ||= accelerator !== 'none' && accelerator !== 'host';
}

/** @throws FiddlerError `usage` where a GPU's library was loaded for a model of another type, and is not exact enough */
export function checkExactness(library: string | undefined, dtype: LoadOptions['dtype']): void {
  const variable = EXACT[library ?? '']?.[0];
  if (dtype !== 'f32' || variable === undefined || process.env[variable] !== undefined) return;
  throw new FiddlerError(
    'usage',
    `${library} computes float32 less exactly in this process, since another model was loaded before in its stored type`,
    'load this model first, or in a process of its own, or on the accelerator none',
  );
}
