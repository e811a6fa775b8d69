import type { Graph } from '../native/ggml/graph.js';
import type { Tensor } from '../native/ggml/tensor.js';

/** The matrices that an expert may have: all but down are multiplied by its input. */
export const MATRICES = ['gate', 'value', 'up', 'down'] as const;
export type MatrixName = (typeof MATRICES)[number];
export type InnerName = Exclude<MatrixName, 'down'>;

/** Something for each matrix of an expert; every expert has up and down. */
export type ByMatrix<T> = { [name in MatrixName]?: T } & { up: T; down: T };

interface Activation {
  /** The matrices beside down, in the order of {@link MATRICES}. */
  readonly inner: readonly InnerName[];
  /** Gate and up may be parts of one matrix, so that what they give is parts of one product: `build` is one operation that takes these. */
  readonly joins?: true;
  /** The inner values [width, n] from what each of these matrices gives for the input [width, n]. */
  readonly build: (g: Graph, inner: Record<InnerName, Tensor>) => Tensor;
}

/** gpt-oss's min(gate, limit) · sigmoid(alpha gate) · (clamp(up, ±limit) + 1). */
export const CLAMPED_SWIGLU = { alpha: 1.702, limit: 7 };

/** DeepSeek-V4's, of all published models. */
export const SILU_LIMIT = 10;

/** How an expert's inner values come from its input: which matrices that takes, and what is made of their products. */
export const ACTIVATIONS = {
  /** SwiGLU (arXiv 2002.05202): silu(gate) · up. */
  silu: { inner: ['gate', 'up'], joins: true, build: (g, { gate, up }) => g.swiglu(gate, up) },
  /** GeGLU (arXiv 2002.05202) with GELU's tanh approximation: gelu(gate) · up. */
  'gelu-tanh': { inner: ['gate', 'up'], build: (g, { gate, up }) => g.geglu(gate, up) },
  'swiglu-clamped': {
    inner: ['gate', 'up'],
    joins: true,
    build: (g, { gate, up }) => g.clampedSwiglu(gate, up, CLAMPED_SWIGLU.alpha, CLAMPED_SWIGLU.limit),
  },
  /** silu(min(gate, limit)) · clamp(up, ±limit). */
  'silu-limited': {
    inner: ['gate', 'up'],
    build: (g, { gate, up }) => g.limitedSwiglu(gate, up, SILU_LIMIT),
  },
  /** OpenMoE's (arXiv 2402.01739): up is gated by a SwiGLU: silu(gate) · value · up. */
  'swiglu-gated': {
    inner: ['gate', 'value', 'up'],
    build: (g, { gate, value, up }) => g.multiply(g.swiglu(gate, value), up),
  },
  /** Without a gate: max(0, up), as in Switch Transformers (arXiv 2101.03961). */
  relu: { inner: ['up'], build: (g, { up }) => g.relu(up) },
  /** Without a gate: max(0, up)² (arXiv 2109.08668, section 3). */
  'relu-squared': { inner: ['up'], build: (g, { up }) => g.squaredRelu(up) },
} as const satisfies Record<string, Activation>;
export type ActivationName = keyof typeof ACTIVATIONS;

/** The inner matrices that experts of this activation have. */
export function innerMatrices(activation: ActivationName): readonly InnerName[] {
  return ACTIVATIONS[activation].inner;
}

/** Whether gate and up of this activation may be parts of one matrix. */
export function joinsInner(activation: ActivationName): boolean {
  return (ACTIVATIONS[activation] as Activation).joins === true;
}

/** Something for each matrix that experts of this activation have. */
export function eachMatrix<T>(activation: ActivationName, of: (name: MatrixName) => T): ByMatrix<T> {
  const names = [...innerMatrices(activation), 'down'] as const;
  return Object.fromEntries(names.map((name) => [name, of(name)])) as ByMatrix<T>;
}

/** What there is for each matrix, in the order of {@link MATRICES}. */
export function matrixEntries<T>(of: Readonly<ByMatrix<T>>): [MatrixName, T][] {
  const entries: [MatrixName, T][] = [];
  for (const name of MATRICES) {
    const value = of[name];
    if (value !== undefined) entries.push([name, value]);
  }
  return entries;
}

/** Something else for each matrix there is. */
export function mapMatrices<A, B>(of: Readonly<ByMatrix<A>>, map: (value: A, name: MatrixName) => B): ByMatrix<B> {
  return Object.fromEntries(matrixEntries(of).map(([name, value]) => [name, map(value, name)])) as ByMatrix<B>;
}
