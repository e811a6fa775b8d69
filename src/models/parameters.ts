import type { Tensor } from '../ggml/tensor.js';

/**
 * How a parameter is held: a `matrix` in the computed type; an `exact` one always in float32, because what depends on
 * it is decided and not only computed (routers) or because ggml multiplies only float32 there (norms, biases).
 */
export type Precision = 'matrix' | 'exact';

/** The rows from `from` on of each of a matrix's `count` equal groups of rows: [count, rows, in], or [count, in, rows]. */
export interface RowGroups {
  count: number;
  from: number;
  rows: number;
  transposed: boolean;
}

/** A tensor of the checkpoint that is not an expert's. `tensor` is there once the model is loaded. */
export class Parameter {
  tensor!: Tensor;

  constructor(
    readonly name: string,
    /** As stored; outermost dimension first. */
    readonly shape: readonly number[],
    readonly precision: Precision,
    /** What the tensor is made of; all of what is stored where undefined. */
    readonly groups?: RowGroups,
  ) {}
}

/** A small tensor that is read on the host, as float32: a router's own, or biases. `values` are there once loaded. */
export class HostVector {
  values!: Float32Array;

  constructor(
    readonly name: string,
    /** Outermost dimension first. */
    readonly shape: readonly number[],
  ) {}
}

/** What heads add to their scores for the distance between a token and the one it looks at (arXiv 1910.10683, section 2.1). */
export class RelativeBias {
  constructor(
    /** [buckets, heads]. */
    readonly table: HostVector,
    readonly heads: number,
    /** Tokens look at those after them too; each call is then a whole text. */
    readonly bidirectional: boolean,
    /** Row of the table for a token that lies `distance` after the one that looks at it, negative before. */
    readonly bucket: (distance: number) => number,
  ) {}
}

/** Float32 numbers that follow from the config and are needed on the device. */
export class Constant {
  tensor!: Tensor;

  constructor(readonly values: Float32Array) {}
}

/** Rows for keys, values or latents of past tokens: [context, width] in PyTorch's order. */
export class CacheRows {
  tensor!: Tensor;

  constructor(readonly width: number) {}
}

/** Collects what a model's blocks need while a family describes it. */
export class Declarations {
  readonly parameters: Parameter[] = [];
  readonly hostVectors: HostVector[] = [];
  readonly constants: Constant[] = [];
  readonly caches: CacheRows[] = [];
  /** Sliding windows that some layer's attention uses; 0 where it looks at all tokens before. */
  readonly windows = new Set<number>();
  readonly relativeBiases: RelativeBias[] = [];
  /**
   * Sequences of more tokens than this are computed otherwise than shorter ones from their first token on (LongRoPE),
   * so that neither can use the other's keys and values.
   */
  extendedBeyond?: number;

  private declare(name: string, shape: readonly number[], precision: Precision): Parameter {
    const same = this.parameters.find((p) => p.name === name && p.precision === precision && !p.groups);
    if (same) return same;
    const parameter = new Parameter(name, shape, precision);
    this.parameters.push(parameter);
    return parameter;
  }

  /** A weight [out, in] in the computed type. */
  matrix(name: string, out: number, input: number): Parameter {
    return this.declare(name, [out, input], 'matrix');
  }

  /** Part of a weight [out, in] in the computed type. */
  rowGroups(name: string, out: number, input: number, groups: RowGroups): Parameter {
    const parameter = new Parameter(name, [out, input], 'matrix', groups);
    this.parameters.push(parameter);
    return parameter;
  }

  /** A vector in float32: a norm's weight or a bias. */
  vector(name: string, size: number): Parameter {
    return this.declare(name, [size], 'exact');
  }

  /** A weight [out, in] in float32. */
  exactMatrix(name: string, out: number, input: number): Parameter {
    return this.declare(name, [out, input], 'exact');
  }

  /** A vector that a router reads on the host. @param shape as stored, where that has more dimensions */
  hostVector(name: string, size: number, shape: readonly number[] = [size]): HostVector {
    const vector = new HostVector(name, shape);
    this.hostVectors.push(vector);
    return vector;
  }

  relativeBias(...parts: ConstructorParameters<typeof RelativeBias>): RelativeBias {
    const bias = new RelativeBias(...parts);
    this.relativeBiases.push(bias);
    return bias;
  }

  constant(values: Float32Array): Constant {
    const constant = new Constant(values);
    this.constants.push(constant);
    return constant;
  }

  cache(width: number): CacheRows {
    const cache = new CacheRows(width);
    this.caches.push(cache);
    return cache;
  }
}
