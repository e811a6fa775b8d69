// Experts of random blocks in memory, and calls over them by the native kernels and by ggml.
import koffi from 'koffi';
import { type ExpertType, encodeExperts, encodeLayer } from '#fiddler/native/expert-arguments.js';
import { api } from '#fiddler/native/ggml/api.js';
import { Backend, Buffer, type devices, GraphAllocator } from '#fiddler/native/ggml/backend.js';
import { Graph } from '#fiddler/native/ggml/graph.js';
import { rowBytes, type Tensor, TensorContext, Type } from '#fiddler/native/ggml/tensor.js';
import { Threadpool } from '#fiddler/native/ggml/threadpool.js';
import type { ExpertPool } from '#fiddler/native/kernels.js';
import { memmove } from '#fiddler/native/os/memory.js';
import { makeNoise, noise } from '#fiddler/weights/conversions/random.js';

export interface Shape {
  readonly type: ExpertType;
  readonly hidden: number;
  readonly ff: number;
}

/** Bytes of one of an expert's three matrices. */
export function matrixBytes({ type, hidden, ff }: Shape): number {
  return rowBytes(Type[type], hidden) * ff;
}

interface Weights {
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly down: Tensor;
}

/** Experts one after the other in the CPU's memory, for both libraries. */
export class Experts {
  readonly all: readonly Weights[];
  readonly free: () => void;

  constructor(
    readonly shape: Shape,
    count: number,
    bufferType: bigint,
  ) {
    const { type, hidden, ff } = shape;
    const context = new TensorContext(3 * count);
    this.all = Array.from({ length: count }, () => ({
      gate: context.tensor(Type[type], hidden, ff),
      up: context.tensor(Type[type], hidden, ff),
      down: context.tensor(Type[type], ff, hidden),
    }));
    const buffer = Buffer.allocate(context, bufferType, 'experts');
    buffer.markWeights();
    const bytes = matrixBytes(shape);
    const values = noise(bytes, type);
    for (const tensor of this.all.flatMap((w) => [w.gate, w.up, w.down])) {
      makeNoise(values, tensor.address, 0, values.rows);
    }
    this.free = () => {
      buffer.free();
      context.free();
    };
  }

  /** Stretches of `size` experts. */
  groups(size: number): Weights[][] {
    const groups: Weights[][] = [];
    for (let i = 0; i + size <= this.all.length; i += size) groups.push(this.all.slice(i, i + size));
    return groups;
  }
}

/** One call of the native kernels: y = the experts' sum for x, [tokens, hidden], each expert with all tokens. */
export function nativeCall(
  pool: ExpertPool,
  { type, hidden, ff }: Shape,
  experts: readonly Weights[],
  tokens: number,
  x: Float32Array,
  y: Float32Array,
  fullF32 = false,
): () => void {
  const row = rowBytes(Type[type], hidden);
  const encoded = encodeExperts(
    experts.map(({ gate, up, down }, i) => ({
      gate: gate.address,
      up: up.address,
      down: down.address,
      gateStride: row,
      upStride: row,
      downStride: rowBytes(Type[type], ff),
      rowBegin: 0,
      rowEnd: ff,
      firstRoute: i * tokens,
      routes: tokens,
    })),
  );
  const routes = {
    tokens: Int32Array.from({ length: tokens * experts.length }, (_, i) => i % tokens),
    weights: new Float32Array(tokens * experts.length).fill(1),
  };
  const layer = encodeLayer({ hidden, upType: type, downType: type, activation: 'silu', fullF32, overwrite: true });
  return () => pool.run(layer, encoded, routes, x, y, tokens);
}

/** ggml's CPU backend, with threads that sleep between graphs: spinning, they keep the cores from the native kernels. */
export class Ggml {
  readonly bufferType: bigint;
  private readonly backend: Backend;

  constructor(cpu: ReturnType<typeof devices>[number], threads: number) {
    this.backend = new Backend(cpu.pointer);
    this.bufferType = api().deviceBufferType(cpu.pointer);
    new Threadpool(cpu.pointer, threads, false).attach(this.backend);
  }

  /** The same as graphs, one for each group of experts, to be computed one after the other and freed. */
  calls(shape: Shape, groups: readonly Weights[][], tokens: number, x: Float32Array) {
    const context = new TensorContext(1);
    const input = context.tensor(Type.F32, shape.hidden, tokens);
    const buffer = Buffer.allocate(context, this.bufferType, 'tokens');
    memmove(input.address, koffi.address(x), 4 * shape.hidden * tokens);
    const made = groups.map((experts) => {
      const graph = new Graph(8 * experts.length);
      const outputs = experts.map((e) =>
        graph.matmul(e.down, graph.swiglu(graph.matmul(e.gate, input), graph.matmul(e.up, input))),
      );
      graph.output(outputs.reduce((sum, y) => graph.add(sum, y)));
      const allocator = new GraphAllocator(this.bufferType);
      allocator.reserve(graph);
      allocator.assign(graph);
      return { graph, allocator };
    });
    return {
      run: (group: number) => this.backend.compute(made[group]!.graph),
      free: () => {
        for (const { graph, allocator } of made) {
          graph.free();
          allocator.free();
        }
        buffer.free();
        context.free();
      },
    };
  }
}
