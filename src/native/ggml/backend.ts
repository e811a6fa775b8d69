import koffi from 'koffi';
import { hold } from '../resources.js';
import { api, type Pointer } from './api.js';
import type { Graph } from './graph.js';
import { loadLibraries } from './libraries.js';
import { checkPointer, checkStatus } from './status.js';
import type { Tensor, TensorContext } from './tensor.js';

const USAGE_WEIGHTS = 1;

/** What ggml says of a device. */
export interface DeviceInfo {
  pointer: Pointer;
  /** ggml's name: CPU, CUDA0, Vulkan0. */
  name: string;
  description: string;
  /** Name of the library's registry: CPU, CUDA, Vulkan. */
  library: string;
  kind: 'cpu' | 'gpu' | 'integrated' | 'other';
}

const KINDS = ['cpu', 'gpu', 'integrated'] as const;

/** Silences ggml's own log lines: any C function that ignores its arguments will do as the callback. */
export function silenceLog(): void {
  const library = process.platform === 'win32' ? 'msvcrt.dll' : null;
  api().logSet(koffi.load(library).symbol('abs', 'int'), null);
}

let cpuLoaded = false;

/** Loads ggml's best CPU library for this machine, and the named accelerator's. @throws FiddlerError `device` */
export function loadBackend(gpu?: string): void {
  const { paths } = loadLibraries();
  if (!cpuLoaded) {
    api().loadAllFrom(paths.folder);
    cpuLoaded = true;
  }
  if (gpu) checkPointer(api().load(paths.gpu[gpu]), `the backend ${paths.gpu[gpu]}`);
}

/** Devices of all loaded libraries. */
export function devices(): DeviceInfo[] {
  const ggml = api();
  return Array.from({ length: ggml.deviceCount() }, (_, i) => {
    const pointer: Pointer = ggml.device(i);
    return {
      pointer,
      name: ggml.deviceName(pointer),
      description: ggml.deviceDescription(pointer),
      library: ggml.registryName(ggml.deviceRegistry(pointer)),
      kind: KINDS[ggml.deviceType(pointer)] ?? 'other',
    };
  });
}

/** Free and total bytes of a device's memory. */
export function deviceMemory(device: Pointer): { free: number; total: number } {
  const free = [0];
  const total = [0];
  api().deviceMemory(device, free, total);
  return { free: Number(free[0]), total: Number(total[0]) };
}

/** Rows of `bytes` bytes, whose beginnings lie so many bytes apart; strides are at least `bytes`. */
export interface Rows {
  bytes: number;
  count: number;
  sourceStride: number;
  targetStride: number;
}

/** One stream of a device's work. */
export class Backend {
  /** Each graph is computed by a new instance of the device. */
  renews = false;
  pointer: Pointer;
  /** How often that instance was replaced. */
  renewals = 0;
  readonly free: () => void;

  constructor(private readonly device: Pointer) {
    this.pointer = newInstance(device);
    this.free = hold(() => api().backendFree(this.pointer));
  }

  private renew(): void {
    this.synchronize();
    const before = this.pointer;
    this.pointer = newInstance(this.device);
    this.renewals++;
    api().backendFree(before);
  }

  compute(graph: Graph): void {
    if (this.renews) this.renew();
    checkStatus(api().compute(this.pointer, graph.pointer), 'computing a graph');
  }

  /** Queues the graph; on devices without a queue it is computed before this returns. */
  computeAsync(graph: Graph): void {
    if (this.renews) this.renew();
    checkStatus(api().computeAsync(this.pointer, graph.pointer), 'computing a graph');
  }

  /** Queues a copy of `bytes` bytes from host memory into `tensor` at byte `offset`. */
  write(tensor: Tensor, source: Pointer, offset: number, bytes: number): void {
    api().tensorSetAsync(this.pointer, tensor.pointer, source, offset, bytes);
  }

  /** Queues a copy of rows into `tensor`, the first at byte `offset`. */
  writeRows(tensor: Tensor, source: Pointer, offset: number, rows: Rows): void {
    const { bytes, count, sourceStride, targetStride } = rows;
    const contiguous = sourceStride === bytes && targetStride === bytes;
    if (count === 1 || contiguous) this.write(tensor, source, offset, count * bytes);
    else {
      const { pointer } = tensor;
      api().tensorSet2dAsync(this.pointer, pointer, source, offset, bytes, count, targetStride, sourceStride);
    }
  }

  /** Queues a copy of `bytes` bytes of the tensor, from byte `offset` on, into host memory. */
  read(tensor: Tensor, target: Pointer, bytes: number, offset = 0): void {
    api().tensorGetAsync(this.pointer, tensor.pointer, target, offset, bytes);
  }

  synchronize(): void {
    api().synchronize(this.pointer);
  }

  supports(operation: Tensor): boolean {
    return api().supportsOp(this.pointer, operation.pointer);
  }

  /** Whether it has every operation of the graph. */
  supportsAll({ pointer }: Graph): boolean {
    const nodes = Array.from({ length: api().graphNodes(pointer) }, (_, i) => api().graphNode(pointer, i));
    return nodes.every((node) => api().supportsOp(this.pointer, node));
  }
}

function newInstance(device: Pointer): Pointer {
  return checkPointer(api().deviceInit(device, null), 'a backend');
}

/** Orders work between two streams of one device; CPU devices have none, and need none. */
export class Event {
  private recorded?: { on: Backend; renewals: number };

  private constructor(private readonly pointer: Pointer) {
    hold(() => api().eventFree(pointer));
  }

  static create(device: Pointer): Event | undefined {
    const pointer = api().eventNew(device);
    return pointer ? new Event(pointer) : undefined;
  }

  record(on: Backend): void {
    api().eventRecord(this.pointer, on.pointer);
    this.recorded = { on, renewals: on.renewals };
  }

  /** Returns once what was recorded is done. */
  synchronize(): void {
    // An instance was done when it was replaced, and ggml's events for Vulkan name a command buffer that it took with it.
    if (this.recorded?.on.renewals === this.recorded?.renewals) api().eventSynchronize(this.pointer);
  }

  /** Work queued on `backend` from now on waits for what was recorded. */
  wait(backend: Backend): void {
    api().eventWait(backend.pointer, this.pointer);
  }
}

/** Memory on a device, or over a mapping, in which tensors lie. */
export class Buffer {
  readonly free: () => void;

  private constructor(readonly pointer: Pointer) {
    this.free = hold(() => api().bufferFree(pointer));
  }

  /** Allocates every tensor of `context` in one buffer of the given type. @throws FiddlerError `memory` */
  static allocate(context: TensorContext, type: Pointer, what: string): Buffer {
    return new Buffer(checkPointer(api().allocTensors(context.pointer, type), what));
  }

  /** Bytes that `allocate` would take. */
  static sizeOf(context: TensorContext, type: Pointer): number {
    return api().allocTensorsSize(context.pointer, type);
  }

  /** A buffer over memory that is already there; its base must be aligned to 32 bytes. */
  static over(address: Pointer, bytes: number): Buffer {
    return new Buffer(checkPointer(api().bufferFromPointer(address, bytes), 'a buffer over a mapping'));
  }

  /** Places a tensor at an address inside this buffer. */
  place(tensor: Tensor, address: Pointer): void {
    checkStatus(api().tensorAlloc(this.pointer, tensor.pointer, address), 'placing a tensor');
  }

  markWeights(): this {
    api().bufferUsage(this.pointer, USAGE_WEIGHTS);
    return this;
  }

  /** Sets every byte to zero. */
  clear(): this {
    api().bufferClear(this.pointer, 0);
    return this;
  }

  get bytes(): number {
    return api().bufferSize(this.pointer);
  }

  /** It is of that type: drivers that pin no more memory give ordinary memory in its place. */
  isOf(type: Pointer): boolean {
    return api().bufferType(this.pointer) === type;
  }
}

/** Memory for the intermediate tensors of graphs that never run at the same time. */
export class GraphAllocator {
  readonly free: () => void;
  private readonly pointer: Pointer;

  constructor(bufferType: Pointer) {
    this.pointer = checkPointer(api().allocatorNew(bufferType), 'an allocator');
    this.free = hold(() => api().allocatorFree(this.pointer));
  }

  /** Makes room for `graph` and everything smaller. @throws FiddlerError `memory` */
  reserve(graph: Graph): void {
    if (!api().allocatorReserve(this.pointer, graph.pointer)) checkPointer(null, 'memory for a graph');
  }

  /** Bytes that `graph` would take. */
  sizeOf(graph: Graph): number {
    const sizes = [0];
    api().allocatorSizes(this.pointer, graph.pointer, null, null, sizes);
    return Number(sizes[0]);
  }

  /** Gives the graph's tensors their addresses; earlier graphs keep theirs as long as `bytes` does not grow. */
  assign(graph: Graph): void {
    if (!api().allocatorAlloc(this.pointer, graph.pointer)) checkPointer(null, 'memory for a graph');
  }

  get bytes(): number {
    return api().allocatorSize(this.pointer, 0);
  }
}
