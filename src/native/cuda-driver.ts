import koffi from 'koffi';

/** From <cuda.h>. */
const COMPUTE_CAPABILITY_MAJOR = 75;
const COMPUTE_CAPABILITY_MINOR = 76;

/**
 * Compute capabilities of NVIDIA's GPUs, such as '8.6', in the driver's order, undefined where it does not say; none where
 * there is no driver.
 */
export function computeCapabilities(
  library = process.platform === 'win32' ? 'nvcuda.dll' : 'libcuda.so.1',
): (string | undefined)[] {
  let driver: ReturnType<typeof koffi.load>;
  try {
    driver = koffi.load(library);
  } catch {
    return [];
  }
  const init = driver.func('int cuInit(unsigned int flags)');
  const getCount = driver.func('int cuDeviceGetCount(_Out_ int* count)');
  const getDevice = driver.func('int cuDeviceGet(_Out_ int* device, int ordinal)');
  const getAttribute = driver.func('int cuDeviceGetAttribute(_Out_ int* value, int attribute, int device)');
  /** What a call writes; undefined where it fails. */
  const answer = (call: typeof init, ...args: number[]): number | undefined => {
    const out: [number] = [0];
    return call(out, ...args) === 0 ? out[0] : undefined;
  };
  if (init(0) !== 0) return [];
  return Array.from({ length: answer(getCount) ?? 0 }, (_, ordinal) => {
    const device = answer(getDevice, ordinal) ?? ordinal;
    const [major, minor] = [COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR].map((of) =>
      answer(getAttribute, of, device),
    );
    return major === undefined || minor === undefined ? undefined : `${major}.${minor}`;
  });
}
