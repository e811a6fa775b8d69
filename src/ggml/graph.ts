import { api, type Pointer } from './api.js';
import { type Extents, rowBytes, Tensor, TensorContext, Type } from './tensor.js';

/** Everything rotary position embedding needs; see ggml_rope_ext and YaRN (arXiv 2309.00071). */
export interface RopeParameters {
  /** Rotated dimensions of a head, from the first. */
  dimensions: number;
  /** Pairs are neighbours (2i, 2i+1) instead of halves (i, i + dimensions/2). */
  interleaved: boolean;
  base: number;
  /** Position interpolation: positions are multiplied by this. */
  scale?: number;
  /** YaRN: original context, extrapolation mix, magnitude of cos and sin, and ramp limits. */
  originalContext?: number;
  extrapolation?: number;
  magnitude?: number;
  betaFast?: number;
  betaSlow?: number;
}

const ROPE_HALVES = 2;
const PREC_F32 = 10;

/** Builds one computation graph. Shapes in comments and arguments are ggml's: innermost first. */
export class Graph {
  readonly pointer: Pointer;
  private readonly context: TensorContext;
  private readonly ggml = api();

  /** @param capacity most tensors (nodes and views) this graph will have. */
  constructor(capacity: number) {
    this.context = new TensorContext(capacity + 1, this.ggml.graphOverhead(capacity, false));
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

  private wrap(pointer: Pointer, like: Tensor, ne: Extents = like.ne, type: Type = Type.F32): Tensor {
    return new Tensor(pointer, type, ne);
  }

  private unary(operation: 'silu' | 'relu' | 'gelu' | 'geluErf' | 'sigmoid' | 'cont', a: Tensor): Tensor {
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

  /** a + b, b repeated where it is smaller. */
  add(a: Tensor, b: Tensor): Tensor {
    return this.wrap(this.ggml.add(this.context.pointer, a.pointer, b.pointer), a);
  }

  /** Adds b to a where a lies. */
  addTo(a: Tensor, b: Tensor): Tensor {
    return this.wrap(this.ggml.addInplace(this.context.pointer, a.pointer, b.pointer), a);
  }

  multiply(a: Tensor, b: Tensor): Tensor {
    return this.wrap(this.ggml.mul(this.context.pointer, a.pointer, b.pointer), a);
  }

  scale(a: Tensor, factor: number): Tensor {
    return this.wrap(this.ggml.scale(this.context.pointer, a.pointer, factor), a);
  }

  clamp(a: Tensor, min: number, max: number): Tensor {
    return this.wrap(this.ggml.clamp(this.context.pointer, a.pointer, min, max), a);
  }

  silu(a: Tensor): Tensor {
    return this.unary('silu', a);
  }

  relu(a: Tensor): Tensor {
    return this.unary('relu', a);
  }

  /** GELU by its tanh approximation. */
  gelu(a: Tensor): Tensor {
    return this.unary('gelu', a);
  }

  sigmoid(a: Tensor): Tensor {
    return this.unary('sigmoid', a);
  }

  /** silu(gate) · up. */
  swiglu(gate: Tensor, up: Tensor): Tensor {
    return this.wrap(this.ggml.swiglu(this.context.pointer, gate.pointer, up.pointer), gate);
  }

  /** g · sigmoid(alpha · g) · (u + 1), g = min(gate, limit), u = clamp(up, ±limit). */
  clampedSwiglu(gate: Tensor, up: Tensor, alpha: number, limit: number): Tensor {
    return this.wrap(this.ggml.swigluOai(this.context.pointer, gate.pointer, up.pointer, alpha, limit), gate);
  }

  /** x / rms(x) · weight. */
  rmsNorm(a: Tensor, weight: Tensor, epsilon: number): Tensor {
    return this.multiply(this.wrap(this.ggml.rmsNorm(this.context.pointer, a.pointer, epsilon), a), weight);
  }

  /** (x − mean) / deviation · weight + bias. */
  layerNorm(a: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
    const normal = this.wrap(this.ggml.layerNorm(this.context.pointer, a.pointer, epsilon), a);
    return this.add(this.multiply(normal, weight), bias);
  }

  /** weight [in, out] times x [in, n] → [out, n], accumulated in float32. */
  matmul(weight: Tensor, x: Tensor): Tensor {
    const pointer = this.ggml.mulMat(this.context.pointer, weight.pointer, x.pointer);
    this.ggml.accumulateIn(pointer, PREC_F32);
    return this.wrap(pointer, x, [weight.ne[1], x.ne[1], x.ne[2], x.ne[3]]);
  }

  /** Rows of `a` by number: [d, rows] and I32 [n] → F32 [d, n]. */
  getRows(a: Tensor, numbers: Tensor): Tensor {
    const pointer = this.ggml.getRows(this.context.pointer, a.pointer, numbers.pointer);
    return this.wrap(pointer, a, [a.ne[0], numbers.ne[0], 1, 1]);
  }

  /** Writes the rows of `b` [d, n] over those rows of `a` that `numbers` [n] names; gives all of `a`. */
  setRows(a: Tensor, b: Tensor, numbers: Tensor): Tensor {
    const pointer = this.ggml.setRows(this.context.pointer, a.pointer, b.pointer, numbers.pointer);
    return new Tensor(pointer, a.type, a.ne, a.strides);
  }

  /** Rotates a [head, heads, n] by the positions I32 [n]; `factors` divides each frequency. */
  rope(a: Tensor, positions: Tensor, p: RopeParameters, factors?: Tensor): Tensor {
    const pointer = this.ggml.rope(
      this.context.pointer,
      a.pointer,
      positions.pointer,
      factors?.pointer ?? null,
      p.dimensions,
      p.interleaved ? 0 : ROPE_HALVES,
      p.originalContext ?? 0,
      p.base,
      p.scale ?? 1,
      p.extrapolation ?? 0,
      p.magnitude ?? 1,
      p.betaFast ?? 32,
      p.betaSlow ?? 1,
    );
    return this.wrap(pointer, a, a.ne, a.type);
  }

  /** softmax(a · scale + mask) over the innermost dimension; `sinks` adds one more column a head. */
  softMax(a: Tensor, mask: Tensor, scale: number, sinks?: Tensor): Tensor {
    const pointer = this.ggml.softMax(this.context.pointer, a.pointer, mask.pointer, scale, 0);
    if (sinks) this.ggml.softMaxSinks(pointer, sinks.pointer);
    return this.wrap(pointer, a);
  }

  /** Attention in one operation: q [hd, n, heads], k and v [hd, kv, kvHeads], mask F16 [kv, n] → [hd, heads, n]. */
  flashAttention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: number, sinks?: Tensor): Tensor {
    const context = this.context.pointer;
    const pointer = this.ggml.flashAttention(context, q.pointer, k.pointer, v.pointer, mask.pointer, scale, 0, 0);
    this.ggml.accumulateIn(pointer, PREC_F32);
    if (sinks) this.ggml.flashAttentionSinks(pointer, sinks.pointer);
    return this.wrap(pointer, q, [v.ne[0], q.ne[2], q.ne[1], 1]);
  }
}
