import type { ByNumber } from '../../devices/accelerators.js';
import type { Device, HostMemory } from '../../devices/device.js';
import type { Tensor } from '../../native/ggml/tensor.js';
import type { OrderLoops } from '../../native/order-loops.js';
import type { HostExperts } from '../host-experts.js';
import type { ExpertsSpec } from '../spec.js';
import type { NativePool } from './native.js';
import type { StreamSlots } from './slots.js';

/** What the lanes compute with, and where. */
export interface LanesParts {
  cpu: Device;
  /** The same as `cpu` where nothing is offloaded. */
  accelerator: Device;
  layers: readonly ExpertsSpec[];
  /** Most tokens of a call. */
  chunk: number;
  /** What experts add their results to, on the accelerator [chunk, hidden] (PyTorch's order): hidden states, or their sum. */
  output: Tensor;
  /** What they read [chunk, hidden]: on the accelerator, and its copy in the host's memory. */
  input: Tensor;
  hostInput: Tensor;
  /** Returns once the copy is there. */
  awaitInput: () => void;
  host: HostExperts;
  slots?: StreamSlots;
  /** Of these slots, those that are the expert cache. */
  cached: number;
  /** Native CPU kernels and their threads, where they compute these experts; else ggml's kernels do. */
  pool?: NativePool;
  /** What orders assignments, in native code where that is there. */
  orderLoops: OrderLoops;
  /** The host's memory that the accelerator copies from and to. */
  hostMemory: HostMemory;
  /** Intermediate values of experts that are computed together take about so much of the accelerator, unless one expert's take more. */
  graphBytes: number;
  /** What the accelerator's products with matrices by number can do. */
  byNumber: Pick<ByNumber, 'exact' | 'rows' | 'readsBehind'>;
}
