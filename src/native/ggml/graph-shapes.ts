import { api, type Pointer } from './api.js';
import type { ContextMemory } from './context-memory.js';
import { type Extents, rowBytes, Tensor, TensorContext, Type } from './tensor.js';

type Unary = 'silu' | 'relu' | 'sigmoid' | 'softplus' | 'exp' | 'tanh' | 'cont' | 'abs' | 'sgn' | 'sqrt';

/** A graph's memory, and the operations that place elements anew and compute nothing. Shapes are ggml's: innermost first. */
export class GraphShapes {
  readonly pointer: Pointer;
  protected readonly context: TensorContext;
  protected readonly ggml = api();

  /**
   * @param capacity most tensors (nodes and views) this graph will have
   * @param memory for their metadata
   */
  constructor(capacity: number, memory?: ContextMemory) {
    this.context = new TensorContext(capacity + 1, this.ggml.graphOverhead(capacity, false), memory);
    this.pointer = this.ggml.newGraph(this.context.pointer, capacity, false);
  }

  /** Adds `tensor` and all it depends on to what is computed, in the order of these calls. */
  compute(tensor: Tensor): Tensor {
    this.ggml.expand(this.pointer, tensor.pointer);
    return tensor;
  }

  /** Keeps the tensor's memory from being reused within the graph, so that it can be read afterwards. */
  output(tensor: Tensor): Tensor {
    this.ggml.setOutput(tensor.pointer);
    return this.compute(tensor);
  }

  free(): void {
    this.context.free();
  }

  protected wrap(pointer: Pointer, like: Tensor, ne: Extents = like.ne, type: Type = Type.F32): Tensor {
    return new Tensor(pointer, type, ne);
  }

  protected unary(operation: Unary, a: Tensor): Tensor {
    return this.wrap(this.ggml[operation](this.context.pointer, a.pointer), a, a.ne, a.type);
  }

  /** View of `a` with the given sizes; strides and offset in bytes, strides of `a` by default. */
  view(a: Tensor, ne: Extents, offset = 0, strides: Extents = a.strides): Tensor {
    const [, nb1, nb2, nb3] = strides;
    const pointer = this.ggml.view4d(this.context.pointer, a.pointer, ...ne, nb1, nb2, nb3, offset);
    return new Tensor(pointer, a.type, ne, [a.strides[0], nb1, nb2, nb3]);
  }

  /** Rows [from, from + count) of a matrix. */
  rows(a: Tensor, from: number, count: number): Tensor {
    return this.view(a, [a.ne[0], count, 1, 1], from * a.strides[1]);
  }

  /** Elements [from, from + count) of the innermost dimension. */
  columns(a: Tensor, from: number, count: number): Tensor {
    return this.view(a, [count, a.ne[1], a.ne[2], a.ne[3]], from * a.strides[0]);
  }

  /** Elements [from, from + count) of a vector. */
  slice(a: Tensor, from: number, count: number): Tensor {
    return this.view(a, [count, 1, 1, 1], rowBytes(a.type, from), [0, rowBytes(a.type, count), 0, 0]);
  }

  reshape(a: Tensor, n0: number, n1 = 1, n2 = 1, n3 = 1): Tensor {
    const pointer = this.ggml.reshape4d(this.context.pointer, a.pointer, n0, n1, n2, n3);
    return this.wrap(pointer, a, [n0, n1, n2, n3], a.type);
  }

  /** Dimension i of `a` becomes dimension axes[i] of the result. */
  permute(a: Tensor, axes: Extents): Tensor {
    const pointer = this.ggml.permute(this.context.pointer, a.pointer, ...axes);
    const ne = [1, 1, 1, 1];
    const strides = [0, 0, 0, 0];
    axes.forEach((axis, i) => {
      ne[axis] = a.ne[i]!;
      strides[axis] = a.strides[i]!;
    });
    return new Tensor(pointer, a.type, ne as unknown as Extents, strides as unknown as Extents);
  }

  contiguous(a: Tensor): Tensor {
    return this.unary('cont', a);
  }

  /** Writes `a` over `target`, converting between types. */
  copy(a: Tensor, target: Tensor): Tensor {
    return this.wrap(this.ggml.cpy(this.context.pointer, a.pointer, target.pointer), target, target.ne, target.type);
  }

  concat(a: Tensor, b: Tensor, dimension: 0 | 1 | 2 | 3): Tensor {
    const ne = a.ne.map((n, i) => (i === dimension ? n + b.ne[i]! : n)) as unknown as Extents;
    return this.wrap(this.ggml.concat(this.context.pointer, a.pointer, b.pointer, dimension), a, ne, a.type);
  }

  /** All, at least one, behind each other. */
  concatAll(parts: readonly Tensor[], dimension: 0 | 1 | 2 | 3): Tensor {
    return parts.reduce((before, each) => this.concat(before, each, dimension));
  }

  /** As large as `a`, each element `value`. */
  fill(a: Tensor, value: number): Tensor {
    return this.wrap(this.ggml.fill(this.context.pointer, a.pointer, value), a, a.ne, a.type);
  }

  /** F32 [count]: 0, 1, 2, … */
  arange(count: number): Tensor {
    const pointer = this.ggml.arange(this.context.pointer, 0, count, 1);
    return new Tensor(pointer, Type.F32, [count, 1, 1, 1]);
  }

  cast(a: Tensor, type: Type): Tensor {
    return this.wrap(this.ggml.cast(this.context.pointer, a.pointer, type), a, a.ne, type);
  }

  /** Repeats `a` along each dimension, as often as its size there goes into that of `ne`. */
  repeat(a: Tensor, ne: Extents): Tensor {
    return this.wrap(this.ggml.repeat(this.context.pointer, a.pointer, ...ne), a, ne);
  }

  /** Zeros behind the elements of the first two dimensions. */
  pad(a: Tensor, n0: number, n1 = 0): Tensor {
    const pointer = this.ggml.pad(this.context.pointer, a.pointer, n0, n1, 0, 0);
    return this.wrap(pointer, a, [a.ne[0] + n0, a.ne[1] + n1, a.ne[2], a.ne[3]]);
  }

  /** Rows of `a` by number: [d, rows, b, c] and I32 [n, b, c] → F32 [d, n, b, c]. */
  getRows(a: Tensor, numbers: Tensor): Tensor {
    const pointer = this.ggml.getRows(this.context.pointer, a.pointer, numbers.pointer);
    return this.wrap(pointer, a, [a.ne[0], numbers.ne[0], numbers.ne[1], numbers.ne[2]]);
  }

  /** Writes the rows of `b` [d, n] over those rows of `a` that `numbers` [n] names; gives all of `a`. */
  setRows(a: Tensor, b: Tensor, numbers: Tensor): Tensor {
    const pointer = this.ggml.setRows(this.context.pointer, a.pointer, b.pointer, numbers.pointer);
    return new Tensor(pointer, a.type, a.ne, a.strides);
  }
}
