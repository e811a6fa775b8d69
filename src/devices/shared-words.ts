import type { Graph } from '../native/ggml/graph.js';
import { type Extents, type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import { type Device, floats, type HostMemory, HostTensors, integers } from './device.js';

/** Lists of words begin at multiples of so many: Vulkan binds buffers at such places only. */
export const APART = 64;

/** Words from the beginning of a list of so many to that of the next. */
export function aligned(count: number): number {
  return Math.ceil(count / APART) * APART;
}

/** Numbers of the lists that are fetched at once, which lie behind the words. */
const LISTS = [0, 1];

/**
 * Words of 32 bits, whole numbers or float32, that JavaScript writes and graphs of a device read. Copies to an accelerator
 * take turns on the link: a few bytes wait behind all experts that travel, and computing with them. So where kernels reach
 * the host's memory a graph fetches its words itself, by an operation that moves them as they are.
 */
export class SharedWords {
  /** What is written, twice the same memory. */
  readonly integers: Int32Array;
  readonly floats: Float32Array;
  private readonly memory = new HostTensors(1);
  private readonly host: Tensor;
  private readonly target: Tensor;
  private readonly place: (tensor: Tensor, address: bigint) => void;
  private readonly lists: Tensor;
  /** Graphs fetch what they read. */
  private readonly fetched: boolean;

  /** @param count words @param what they are for */
  constructor(
    private readonly device: Device,
    count: number,
    what: string,
    hostMemory: HostMemory,
  ) {
    this.host = this.memory.tensor(Type.F32, count + LISTS.length);
    const hostBuffer = this.memory.allocate(hostMemory);
    this.integers = integers(this.host);
    this.floats = floats(this.host);
    this.integers.set(LISTS, count);
    this.fetched = this.memory.reached && !device.unified;
    if (device.unified) {
      this.target = this.host;
      this.place = (tensor, address) => hostBuffer.place(tensor, address);
    } else {
      const context = new TensorContext(1);
      this.target = context.tensor(Type.F32, count + LISTS.length);
      const buffer = device.allocate(context, what);
      this.place = (tensor, address) => buffer.place(tensor, address);
    }
    this.lists = this.tensor(Type.I32, count, LISTS.length);
    if (this.fetched && !device.countsOnly) this.write(count, count + LISTS.length);
  }

  /** `count` words from `from` on as a tensor of the device. */
  tensor(type: Type, from: number, count: number): Tensor {
    const tensor = new TensorContext(1).tensor(type, count);
    this.place(tensor, this.target.address + BigInt(from * 4));
    return tensor;
  }

  /** Words [from, to) were written: queues their copy, unless graphs fetch them. They may change once those were computed. */
  send(from: number, to: number): void {
    if (!this.device.unified && !this.fetched && to > from) this.write(from, to);
  }

  /**
   * First of all in a graph that reads words [from, from + count).
   * @param apart words to a second list of as many, where there is one
   */
  fetch(g: Graph, from: number, count: number, apart = 0): void {
    if (!this.fetched) return;
    const lists = apart > 0 ? 2 : 1;
    const stride = 4 * (apart || count);
    const strides: Extents = [4, stride, lists * stride, lists * stride];
    const view = (tensor: Tensor) => g.view(tensor, [count, lists, 1, 1], from * 4, strides);
    g.compute(g.setRows(view(this.target), view(this.host), g.slice(this.lists, 0, lists)));
  }

  private write(from: number, to: number): void {
    this.device.compute.write(this.target, this.host.address + BigInt(from * 4), from * 4, (to - from) * 4);
  }
}
