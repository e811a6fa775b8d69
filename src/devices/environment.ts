/**
 * Sets what ggml's libraries read from the environment when they load. Call on the main thread before the engine
 * thread starts: a variable set inside a Worker does not reach native code.
 */
export function prepareEnvironment(options: { dtype?: 'auto' | 'f32' }): void {
  if (options.dtype === 'f32') process.env.NVIDIA_TF32_OVERRIDE ??= '0'; // cuBLAS otherwise multiplies in TF32
  // Vulkan otherwise multiplies float32 matrices in float16.
  if (options.dtype === 'f32') process.env.GGML_VK_DISABLE_F16 ??= '1';
  // Lets mapped weights be registered as pinned memory.
  process.env.GGML_CUDA_REGISTER_HOST ??= '1';
}
