import { GraphShapes } from './graph-shapes.js';
import { type Tensor, Type } from './tensor.js';

/** Everything rotary position embedding needs; see ggml_rope_ext and YaRN (arXiv 2309.00071). */
export interface RopeParameters {
  /** Rotated dimensions of a head, behind the first `from` (0 by default). */
  dimensions: number;
  from?: number;
  /** Turns back what is rotated so. */
  inverse?: boolean;
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

/** Builds one computation graph: the operations that compute. Shapes in comments and arguments are ggml's: innermost first. */
export class Graph extends GraphShapes {
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

  divide(a: Tensor, b: Tensor): Tensor {
    return this.wrap(this.ggml.div(this.context.pointer, a.pointer, b.pointer), a);
  }

  /** a · factor + bias. */
  scale(a: Tensor, factor: number, bias = 0): Tensor {
    const { scale, scaleBias } = this.ggml;
    const context = this.context.pointer;
    return this.wrap(bias === 0 ? scale(context, a.pointer, factor) : scaleBias(context, a.pointer, factor, bias), a);
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

  /** max(0, a)². */
  squaredRelu(a: Tensor): Tensor {
    const positive = this.relu(a);
    return this.multiply(positive, positive);
  }

  /**
   * gelu(gate) · up, with GELU's tanh approximation (arXiv 1606.08415, section 2) in float32: ggml's own goes by a table of
   * float16 on CPUs.
   */
  geglu(gate: Tensor, up: Tensor): Tensor {
    const cubic = this.multiply(this.scale(this.multiply(gate, gate), 0.044715), gate);
    // (1 + tanh(u)) / 2 = sigmoid(2u)
    const half = this.sigmoid(this.scale(this.add(gate, cubic), 2 * Math.sqrt(2 / Math.PI)));
    return this.multiply(this.multiply(gate, half), up);
  }

  tanh(a: Tensor): Tensor {
    return this.unary('tanh', a);
  }

  sigmoid(a: Tensor): Tensor {
    return this.unary('sigmoid', a);
  }

  /** log(1 + e^a). */
  softplus(a: Tensor): Tensor {
    return this.unary('softplus', a);
  }

  exp(a: Tensor): Tensor {
    return this.unary('exp', a);
  }

  abs(a: Tensor): Tensor {
    return this.unary('abs', a);
  }

  /** −1, 0 or 1. */
  sign(a: Tensor): Tensor {
    return this.unary('sgn', a);
  }

  sqrt(a: Tensor): Tensor {
    return this.unary('sqrt', a);
  }

  /** The sum over the innermost dimension: [n, …] → [1, …]. */
  sumRows(a: Tensor): Tensor {
    return this.wrap(this.ggml.sumRows(this.context.pointer, a.pointer), a, [1, a.ne[1], a.ne[2], a.ne[3]]);
  }

  /** I32 [k, …]: where the k largest elements of the innermost dimension are, in no order. */
  topK(a: Tensor, k: number): Tensor {
    return this.wrap(this.ggml.topK(this.context.pointer, a.pointer, k), a, [k, a.ne[1], a.ne[2], a.ne[3]], Type.I32);
  }

  /**
   * Σ over heads of weights · relu(q·k), plus the mask (DeepSeek-V3.2, section 2.1): q [size, heads, tokens, sequences], k
   * [size, 1, rows, sequences], weights [heads, tokens, 1, sequences], mask F16 [rows, tokens, 1, sequences] →
   * [rows, tokens, 1, sequences].
   */
  lightningIndexer(q: Tensor, k: Tensor, weights: Tensor, mask: Tensor): Tensor {
    const all = [q, k, weights, mask].map(({ pointer }) => pointer);
    const pointer = this.ggml.lightningIndexer(this.context.pointer, ...all);
    return this.wrap(pointer, q, [k.ne[2], q.ne[2], 1, q.ne[3]]);
  }

  /** silu(gate) · up. */
  swiglu(gate: Tensor, up: Tensor): Tensor {
    return this.wrap(this.ggml.swiglu(this.context.pointer, gate.pointer, up.pointer), gate);
  }

  /** silu(min(gate, limit)) · clamp(up, ±limit). */
  limitedSwiglu(gate: Tensor, up: Tensor, limit: number): Tensor {
    return this.swiglu(this.clamp(gate, -Infinity, limit), this.clamp(up, -limit, limit));
  }

  /** g · sigmoid(alpha · g) · (u + 1), g = min(gate, limit), u = clamp(up, ±limit). */
  clampedSwiglu(gate: Tensor, up: Tensor, alpha: number, limit: number): Tensor {
    return this.wrap(this.ggml.swigluOai(this.context.pointer, gate.pointer, up.pointer, alpha, limit), gate);
  }

  /** x / rms(x), · weight where there is one. */
  rmsNorm(a: Tensor, weight: Tensor | undefined, epsilon: number): Tensor {
    const normal = this.wrap(this.ggml.rmsNorm(this.context.pointer, a.pointer, epsilon), a);
    return weight ? this.multiply(normal, weight) : normal;
  }

  /** (x − mean) / deviation · weight, + bias where there is one. */
  layerNorm(a: Tensor, weight: Tensor, bias: Tensor | undefined, epsilon: number): Tensor {
    const normal = this.wrap(this.ggml.layerNorm(this.context.pointer, a.pointer, epsilon), a);
    const weighted = this.multiply(normal, weight);
    return bias ? this.add(weighted, bias) : weighted;
  }

  /** weight [in, out] times x [in, n] → [out, n], accumulated in float32. */
  matmul(weight: Tensor, x: Tensor): Tensor {
    const pointer = this.ggml.mulMat(this.context.pointer, weight.pointer, x.pointer);
    this.ggml.accumulateIn(pointer, PREC_F32);
    return this.wrap(pointer, x, [weight.ne[1], x.ne[1], x.ne[2], x.ne[3]]);
  }

  /** Each row by a matrix of its own: matrices [in, out, count], x [in, k, n] or [in, 1, n], ids I32 [k, n] → [out, k, n]. */
  matmulById(matrices: Tensor, x: Tensor, ids: Tensor): Tensor {
    const pointer = this.ggml.mulMatId(this.context.pointer, matrices.pointer, x.pointer, ids.pointer);
    this.ggml.accumulateIn(pointer, PREC_F32);
    return this.wrap(pointer, x, [matrices.ne[1], ids.ne[0], ids.ne[1], 1]);
  }

  /** a [d, k, n] + those rows of `b` [d, rows] that ids I32 [k, n] name. */
  addById(a: Tensor, b: Tensor, ids: Tensor): Tensor {
    return this.wrap(this.ggml.addId(this.context.pointer, a.pointer, b.pointer, ids.pointer), a);
  }

  /** Rotates a [head, heads, n] by the positions I32 [n]; `factors` divides each frequency. */
  rope(a: Tensor, positions: Tensor, p: RopeParameters, factors?: Tensor): Tensor {
    const pointer = (p.inverse ? this.ggml.ropeBack : this.ggml.rope)(
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
    if (p.from) this.ggml.ropeOffset(pointer, p.from);
    return this.wrap(pointer, a, a.ne, a.type);
  }

  /** softmax(a · scale + mask) over the innermost dimension; `sinks` adds one more column a head. */
  softMax(a: Tensor, mask?: Tensor, scale = 1, sinks?: Tensor): Tensor {
    const pointer = this.ggml.softMax(this.context.pointer, a.pointer, mask?.pointer ?? null, scale, 0);
    if (sinks) this.ggml.softMaxSinks(pointer, sinks.pointer);
    return this.wrap(pointer, a);
  }

  /**
   * What streams pass on to each other (arXiv 2512.24880): of mixes [(2 + 4) · 4, n] the last 16, · scale[2] + base, as
   * [to, from, n]; softmax over `to`, + epsilon, then divided by the sums over `from`, and over `to` and `from` in turn.
   */
  sinkhorn(mixes: Tensor, scale: Tensor, base: Tensor, epsilon: number, iterations: number): Tensor {
    const all = [mixes, scale, base].map(({ pointer }) => pointer);
    const pointer = this.ggml.sinkhorn(this.context.pointer, ...all, epsilon, iterations);
    return this.wrap(pointer, mixes, [4, 4, mixes.ne[1], 1]);
  }

  /** Σ over streams: x [size, streams, n], weights [streams, n] → [size, n]. */
  weighStreams(x: Tensor, weights: Tensor): Tensor {
    const pointer = this.ggml.weighStreams(this.context.pointer, x.pointer, weights.pointer);
    return this.wrap(pointer, x, [x.ne[0], x.ne[2], 1, 1]);
  }

  /** Each stream `to` as x · post[to] + Σ from · comb[to, from]: x [size, n], streams [size, streams, n], post [streams, n], comb [to, from, n]. */
  mixStreams(x: Tensor, streams: Tensor, post: Tensor, comb: Tensor): Tensor {
    const all = [x, streams, post, comb].map(({ pointer }) => pointer);
    return this.wrap(this.ggml.mixStreams(this.context.pointer, ...all), streams);
  }

  /**
   * Causal convolution of each channel by itself: x [kernel − 1 + tokens, channels, sequences], what was before the tokens
   * first; kernel F32 [kernel, channels] → [channels, tokens, sequences].
   */
  convolve(x: Tensor, kernel: Tensor): Tensor {
    const pointer = this.ggml.convolve(this.context.pointer, x.pointer, kernel.pointer);
    return this.wrap(pointer, x, [x.ne[1], x.ne[0] - kernel.ne[0] + 1, x.ne[2], 1]);
  }

  /**
   * Gated delta rule (arXiv 2412.06464): of each token S ·= e^decay; S += k·(β·(v − Sᵀk))ᵀ; o = Sᵀq / √size. q, k, v
   * [size, heads, tokens, sequences], decay the same or [1, …], beta [1, heads, tokens, sequences], state [size, size, heads, sequences] →
   * [size · heads, …], o [size, heads, tokens, sequences] and behind it the new state.
   */
  gatedDeltaNet(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor, state: Tensor): Tensor {
    const all = [q, k, v, decay, beta, state].map(({ pointer }) => pointer);
    const pointer = this.ggml.gatedDeltaNet(this.context.pointer, ...all, 1);
    const [size, heads, tokens, sequences] = v.ne;
    return this.wrap(pointer, v, [size * heads, (tokens + size) * sequences, 1, 1]);
  }

  /**
   * Selective scan with one decay a head (arXiv 2405.21060): of each token, with t = softplus(dt), S ·= e^(t·a); S += t·x·bᵀ;
   * y = S·c. state [size, headSize, heads, sequences], x [headSize, heads, tokens, sequences], dt [heads, tokens, sequences],
   * a [1, heads], b and c [size, groups, tokens, sequences], ids I32 [sequences] (0, 1, 2, …) → a vector, y
   * [headSize, heads, tokens, sequences] and behind it the new state.
   */
  selectiveScan(state: Tensor, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, ids: Tensor): Tensor {
    const all = [state, x, dt, a, b, c, ids].map(({ pointer }) => pointer);
    const pointer = this.ggml.selectiveScan(this.context.pointer, ...all, 1);
    const elements = [x, state].map(({ ne }) => ne.reduce((product, n) => product * n));
    return this.wrap(pointer, x, [elements[0]! + elements[1]!, 1, 1, 1]);
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
