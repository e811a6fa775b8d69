import { FiddlerError } from '../errors.js';
import { computeCapabilities } from '../native/cuda-driver.js';
import { type DeviceInfo, devices, loadBackend } from '../native/ggml/backend.js';
import { loadLibraries } from '../native/ggml/libraries.js';
import { Type } from '../native/ggml/tensor.js';
import { lackOfCode } from './cuda-code.js';
import { Device } from './device.js';

/** A place to compute everything but the missing experts. */
export interface AcceleratorKind {
  name: string;
  /** One line for `fiddler doctor` and the help. */
  summary: string;
  /** ggml's library, where it takes one beside the CPU's. */
  library?: string;
  /** A GPU: has memory of its own, and whether it works is found out before it is used. */
  gpu: boolean;
  /** Compute capabilities of its devices, in ggml's order, where it has such. */
  capabilities?: () => (string | undefined)[];
  /** What the packaged library lacks for a device of that capability. */
  lack?: (capability: string, fails: boolean) => string | undefined;
  /** Attention reads the KV cache in steps of at least so many rows, a power of two. */
  cacheStep: number;
  /**
   * Type of the KV cache where weights have their stored types. ggml's CPU kernel sums values of F16 in float16 in calls
   * of fewer than 64 tokens: over thousands of tokens the sum loses digits, then overflows.
   */
  cacheType: Type;
  byNumber: ByNumber;
  /** Its kernels read pinned memory of the host by its address. */
  reachesHost: boolean;
  /** Its kernels are given tensors at multiples of the device's alignment; ggml's Vulkan tells few of them how far behind it one lies. */
  bindsAligned?: boolean;
}

/** What products with matrices by number (`ggml_mul_mat_id`) can do on a device. */
export interface ByNumber {
  /** They take matrices that lie further apart than they are large; ggml's Vulkan kernels do not look. */
  strided: boolean;
  /** In float32 they are exact; ggml's CUDA kernels round to TF32, whatever the environment says. */
  exact: boolean;
  /**
   * Rows of assignments, by the type of the matrices and their rows, up to which a product is queued; one of more waits for
   * all that was queued before.
   */
  rows: (type: Type, matrixRows: number) => number;
  /**
   * Those of matrices in blocks read a tile of up to 128 rows, though fewer are left, from memory that has not always room for
   * so many (ggml-cuda/mmq.cu reserves it by the rows of one token).
   */
  readsBehind: boolean;
}

const any = () => Infinity;

/** With more ggml sorts rows of floats on the host, and multiplies for one expert after the other (ggml-cuda/mmf.cu). */
function rowsOnCuda(type: Type, matrixRows: number): number {
  if (type !== Type.BF16 && type !== Type.F16 && type !== Type.F32) return Infinity;
  return matrixRows > 1024 ? 128 : 512;
}

/** What GPUs have in common: CUDA's and Vulkan's kernels for attention take so many rows at a time and sum in float32. */
export const GPU = {
  gpu: true,
  cacheStep: 256,
  cacheType: Type.F16,
  byNumber: { strided: false, exact: true, rows: any, readsBehind: false },
  reachesHost: false,
} as const;
/** The CPU's kernels divide the rows between threads: of twice as many as there are, half do nothing. */
const CPU = {
  gpu: false,
  cacheStep: 64,
  cacheType: Type.F32,
  byNumber: { strided: true, exact: true, rows: any, readsBehind: false },
  reachesHost: true,
} as const;

/** Every accelerator, in the order in which `auto` tries those that are GPUs. */
export const ACCELERATORS: readonly AcceleratorKind[] = [
  {
    name: 'cuda',
    summary: 'an NVIDIA GPU',
    library: 'cuda',
    capabilities: computeCapabilities,
    lack: lackOfCode,
    ...GPU,
    byNumber: { strided: true, exact: false, rows: rowsOnCuda, readsBehind: true },
    reachesHost: true,
  },
  { name: 'vulkan', summary: 'a GPU of any make', library: 'vulkan', ...GPU, bindsAligned: true },
  {
    name: 'host',
    summary: 'the CPU with buffers and a budget of its own, as a stand-in for a GPU',
    ...CPU,
  },
  { name: 'none', summary: 'everything on the CPU, in place', ...CPU },
];

/** The accelerator of that name. @throws FiddlerError `usage` */
export function acceleratorKind(name: string): AcceleratorKind {
  const kind = ACCELERATORS.find((k) => k.name === name);
  if (!kind) {
    const known = ACCELERATORS.map((k) => k.name).join(', ');
    throw new FiddlerError('usage', `there is no accelerator ${name}`, `use auto or one of: ${known}`);
  }
  return kind;
}

/** Loads the accelerator's library and gives its devices, in ggml's order. A GPU's may abort the process: probe it first. */
export function findDevices(kind: AcceleratorKind): DeviceInfo[] {
  if (kind.library && !loadLibraries().paths.gpu[kind.library]) return [];
  loadBackend(kind.library);
  const all = devices();
  if (!kind.gpu) return all.filter((d) => d.kind === 'cpu');
  return all.filter((d) => d.library.toLowerCase() === kind.name && d.kind !== 'cpu');
}

/**
 * Opens the accelerator; `device` is ggml's name of one of its devices, the first by default.
 * @throws FiddlerError `device` where the machine has none
 */
export function openAccelerator(kind: AcceleratorKind, cpu: Device, device?: string, countsOnly = false): Device {
  if (kind.name === cpu.name) return cpu;
  const info = findDevices(kind).find((d) => device === undefined || d.name === device);
  if (!info) {
    const remedy = 'see `fiddler doctor`, or use --accelerator none';
    throw new FiddlerError('device', `no ${kind.name} device was found (${kind.summary})`, remedy);
  }
  const opened = new Device(kind.name, info.pointer, false, kind.gpu ? 2 : 1, countsOnly);
  if (kind.bindsAligned) opened.bindAligned();
  return opened;
}

/** Opens the CPU, which is the accelerator `none` too. */
export function openCpu(countsOnly = false): Device {
  const [info] = findDevices(acceleratorKind('none'));
  return new Device('none', info!.pointer, true, 1, countsOnly);
}
