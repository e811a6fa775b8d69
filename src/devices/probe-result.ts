import { z } from 'zod';

const device = z.object({
  /** ggml's name: CUDA0, Vulkan1. */
  name: z.string(),
  description: z.string(),
  kind: z.enum(['gpu', 'integrated', 'other']),
  /** A program on the CPU poses as a GPU: it works, and is slower than the CPU itself. */
  software: z.boolean(),
  /** Memory in bytes; what was free when it was probed. */
  free: z.number(),
  total: z.number(),
  /** Of an NVIDIA GPU, such as 8.6. */
  capability: z.string().optional(),
  /** What its library lacks for it, in one line; where it does not work, with the remedy. */
  lack: z.string().optional(),
  /** Why it does not work, in one line; missing where it computed what it should. */
  fault: z.string().optional(),
});

export const probeSchema = z.object({
  devices: z.array(device),
  /** Why there are no devices, or why the library failed, in one line. */
  fault: z.string().optional(),
  /** There is nothing to use here, and nothing is wrong: no GPU, no driver, or no library. */
  absent: z.boolean(),
});

export type ProbedDevice = z.infer<typeof device>;

/** What was found out about one kind of GPU on this machine. */
export type Probe = z.infer<typeof probeSchema>;

/** Names that software rasterizers give themselves; ggml reports them as GPUs. */
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|softpipe|basic render/i;

export function isSoftware(description: string): boolean {
  return SOFTWARE.test(description);
}
