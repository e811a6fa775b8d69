import { CUDA_LIBRARY_VARIABLE } from '../native/ggml/libraries.js';

/** GPUs for which the packaged CUDA library has machine code, by compute capability. */
const MACHINE_CODE = ['8.6', '8.9', '12.0', '12.1'];
/** From this one on it has PTX, which drivers of that CUDA version or a newer one compile. */
const PTX = { from: '7.5', cuda: '13.1' };

const parts = (capability: string) => capability.split('.').map(Number) as [major: number, minor: number];
const named = (capability: string) => `sm_${capability.replace('.', '')}`;

/** Machine code runs on later GPUs of its major version, too. */
function runsOn([major, minor]: [number, number], code: string): boolean {
  const [itsMajor, itsMinor] = parts(code);
  return itsMajor === major && itsMinor <= minor;
}

/**
 * What the packaged CUDA library lacks for a GPU of that compute capability, in one line; undefined where it has machine
 * code for it, or where another library is named.
 * @param fails the GPU does not work, so that a remedy is told
 */
export function lackOfCode(capability: string, fails: boolean, env = process.env): string | undefined {
  const gpu = parts(capability);
  if (env[CUDA_LIBRARY_VARIABLE] || MACHINE_CODE.some((code) => runsOn(gpu, code))) return undefined;
  const [major, minor] = parts(PTX.from);
  const compiles = gpu[0] > major || (gpu[0] === major && gpu[1] >= minor);
  const lack = `the packaged CUDA library has machine code for ${MACHINE_CODE.map(named).join(', ')} and none for ${named(capability)}`;
  if (!fails) return `${lack}: the driver compiles its PTX`;
  const update = compiles ? `update the driver to one of CUDA ${PTX.cuda} or newer, which compiles its PTX, ` : '';
  return `${lack}: ${update}name another library by ${CUDA_LIBRARY_VARIABLE}, or use --accelerator vulkan`;
}
