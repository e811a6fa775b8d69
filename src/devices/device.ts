import { api, type Pointer } from '../native/ggml/api.js';
import { Backend, Buffer, Event, GraphAllocator } from '../native/ggml/backend.js';
import { ContextMemory } from '../native/ggml/context-memory.js';
import { Graph } from '../native/ggml/graph.js';
import { registerMemory, unregisterMemory } from '../native/ggml/pinned.js';
import { type Tensor, TensorContext } from '../native/ggml/tensor.js';
import { mapAnonymous, view } from '../native/os/memory.js';
import { hold, Resources } from '../native/resources.js';

/** Where tensors lie and graphs run: the CPU or an accelerator, with one stream for computing and one for copies. */
export class Device {
  readonly compute: Backend;
  /** A second stream where the device has one, so that copies run beside computation; else the first. */
  readonly copies: Backend;
  readonly bufferType: Pointer;
  /** Waits until nothing is queued, and frees everything that was made here. */
  readonly free: () => void;
  private readonly allocator: GraphAllocator;
  private readonly resources = new Resources();
  /** Graphs that were not freed yet. */
  private readonly graphs = new Resources();
  /** Of graphs. */
  private readonly contexts: ContextMemory;
  private readonly ledger = new Map<string, number>();
  /** Bytes of the largest graph that was only counted. */
  private counted = 0;
  /** How often the memory of graphs grew: those that were made before must not be computed any more. */
  moves = 0;
  /** Bytes of which the place of what an operation reads must be a multiple, where its kernel is told of no offset. */
  alignment = 1;
  private reserved = 0;

  constructor(
    readonly name: string,
    readonly pointer: Pointer,
    /** The device computes in the host's memory: nothing has to be copied to or from it. */
    readonly unified: boolean,
    streams: 1 | 2,
    /** What would be taken is only counted: tensors get addresses of the host's that nobody touches. */
    readonly countsOnly = false,
  ) {
    this.free = hold(() => this.end());
    const { resources } = this;
    this.contexts = resources.during(() => new ContextMemory());
    this.compute = resources.during(() => new Backend(pointer));
    this.copies = streams === 2 ? resources.during(() => new Backend(pointer)) : this.compute;
    this.bufferType = api().deviceBufferType(pointer);
    this.allocator = resources.during(() => new GraphAllocator(this.bufferType));
  }

  /** Its kernels are given tensors only at multiples of the alignment of its memory. */
  bindAligned(): void {
    this.alignment = Number(api().bufferAlignment(this.bufferType));
  }

  private end(): void {
    try {
      this.wait();
    } finally {
      try {
        this.graphs.free();
      } finally {
        this.resources.free();
      }
    }
  }

  /** Returns once nothing is queued. */
  wait(): void {
    this.copies.synchronize();
    this.compute.synchronize();
  }

  /** Bytes taken: every buffer and the memory of graphs. */
  get bytes(): number {
    return [...this.ledger.values()].reduce((sum, bytes) => sum + bytes, this.graphBytes);
  }

  private get graphBytes(): number {
    return Math.max(this.allocator.bytes, this.counted);
  }

  /** Bytes taken, by what for. */
  get taken(): ReadonlyMap<string, number> {
    return new Map(this.ledger).set('graphs', this.graphBytes);
  }

  /** Allocates every tensor of `context` on this device; `type` may be another kind of its memory. @throws FiddlerError `memory` */
  allocate(context: TensorContext, what: string, type = this.bufferType): Buffer {
    const buffer = this.resources.during(() =>
      this.countsOnly ? this.setAside(context, type) : Buffer.allocate(context, type, `${what} on ${this.name}`),
    );
    this.ledger.set(what, (this.ledger.get(what) ?? 0) + buffer.bytes);
    return buffer;
  }

  /** Address space for the tensors of `context`, as large as a buffer for them would be. */
  private setAside(context: TensorContext, type: Pointer): Buffer {
    const range = mapAnonymous('counted memory', Buffer.sizeOf(context, type));
    const buffer = Buffer.over(range.address, range.bytes);
    let at = range.address;
    for (const tensor of context.tensors) {
      buffer.place(tensor, at);
      at += BigInt(tensor.bytes);
    }
    return buffer;
  }

  /** Type of the host's buffers from which this device copies fastest: pinned where it can be. */
  hostBufferType(fallback: Pointer): Pointer {
    return api().deviceHostBufferType(this.pointer) ?? fallback;
  }

  /** Makes room for the intermediate tensors of such a graph. @throws FiddlerError `memory` */
  reserve(capacity: number, build: (g: Graph) => void): void {
    const graph = this.graphs.during(() => new Graph(capacity, this.contexts));
    build(graph);
    if (this.countsOnly) this.counted = Math.max(this.counted, this.allocator.sizeOf(graph));
    else this.allocator.reserve(graph);
    graph.free();
    this.noteMove();
  }

  /** Builds a graph and gives its tensors their addresses; it can be computed any number of times while `moves` stays the same. */
  graph(capacity: number, build: (g: Graph) => void): Graph {
    const graph = this.graphs.during(() => new Graph(capacity, this.contexts));
    build(graph);
    this.allocator.assign(graph);
    this.noteMove();
    return graph;
  }

  private noteMove(): void {
    const { bytes } = this.allocator;
    if (bytes === this.reserved) return;
    this.reserved = bytes;
    this.moves++;
  }

  /** Builds and computes a graph that is needed once. */
  once(capacity: number, build: (g: Graph) => void): void {
    const graph = this.graph(capacity, build);
    this.compute.compute(graph);
    graph.free();
  }

  /**
   * Pins memory of the host, so that copies from it run at the link's full speed beside computation.
   * @returns ends that; undefined where this device or its driver cannot
   */
  pin(address: Pointer, bytes: number): (() => void) | undefined {
    if (!registerMemory(this.pointer, address, bytes)) return undefined;
    return this.resources.during(() => hold(() => unregisterMemory(this.pointer, address)));
  }

  event(): Event | undefined {
    return this.copies === this.compute ? undefined : this.resources.during(() => Event.create(this.pointer));
  }

  /** Frees every graph; only once nothing is queued. */
  dropGraphs(): void {
    this.graphs.free();
  }
}

/** The host's memory for what JavaScript exchanges with devices. */
export class HostMemory {
  /** Bytes taken. */
  bytes = 0;

  /**
   * @param type of the buffers: the CPU's, or pinned memory of an accelerator
   * @param reached the accelerator's kernels read such memory by its address
   */
  constructor(
    readonly type: Pointer,
    readonly reached = false,
  ) {}

  /** Allocates every tensor of `context`. @throws FiddlerError `memory` */
  allocate(context: TensorContext): Buffer {
    const buffer = Buffer.allocate(context, this.type, 'host memory for activations');
    this.bytes += buffer.bytes;
    return buffer;
  }
}

/** Tensors in the host's memory that JavaScript reads and writes in place. */
export class HostTensors {
  /** The accelerator's kernels read them where they lie. */
  reached = false;
  private readonly context: TensorContext;
  private buffer?: Buffer;

  constructor(capacity: number) {
    this.context = new TensorContext(capacity);
  }

  tensor(...args: Parameters<TensorContext['tensor']>): Tensor {
    return this.context.tensor(...args);
  }

  allocate(memory: HostMemory): Buffer {
    this.buffer = memory.allocate(this.context);
    this.reached = memory.reached && this.buffer.isOf(memory.type);
    return this.buffer;
  }

  free(): void {
    this.buffer?.free();
    this.context.free();
  }
}

/** The tensor's data as float32 numbers; it must lie in the host's memory. */
export function floats(tensor: Tensor): Float32Array {
  return new Float32Array(view(tensor.address, tensor.bytes));
}

/** The tensor's data as 32-bit integers; it must lie in the host's memory. */
export function integers(tensor: Tensor): Int32Array {
  return new Int32Array(view(tensor.address, tensor.bytes));
}

/** The tensor's data as 16-bit patterns; it must lie in the host's memory. */
export function halves(tensor: Tensor): Uint16Array {
  return new Uint16Array(view(tensor.address, tensor.bytes));
}
