import type { Tensor } from '../ggml/tensor.js';

/**
 * How a parameter is held: a `matrix` in the computed type; an `exact` one always in float32, because what depends on
 * it is decided and not only computed (routers) or because ggml multiplies only float32 there (norms, biases).
 */
export type Precision = 'matrix' | 'exact';

/** A tensor of the checkpoint that is not an expert's. `tensor` is there once the model is loaded. */
export class Parameter {
  tensor!: Tensor;

  constructor(
    readonly name: string,
    /** Outermost dimension first. */
    readonly shape: readonly number[],
    readonly precision: Precision,
  ) {}
}

/** Rows for keys, values or latents of past tokens: [context, width] in PyTorch's order. */
export class CacheRows {
  tensor!: Tensor;

  constructor(readonly width: number) {}
}

/** Collects what a model's blocks need while a family describes it. */
export class Declarations {
  readonly parameters: Parameter[] = [];
  readonly caches: CacheRows[] = [];
  /** Sliding windows that some layer's attention uses. */
  readonly windows = new Set<number>();

  private declare(name: string, shape: readonly number[], precision: Precision): Parameter {
    const same = this.parameters.find((p) => p.name === name && p.precision === precision);
    if (same) return same;
    const parameter = new Parameter(name, shape, precision);
    this.parameters.push(parameter);
    return parameter;
  }

  /** A weight [out, in] in the computed type. */
  matrix(name: string, out: number, input: number): Parameter {
    return this.declare(name, [out, input], 'matrix');
  }

  /** A vector in float32: a norm's weight or a bias. */
  vector(name: string, size: number): Parameter {
    return this.declare(name, [size], 'exact');
  }

  /** A weight [out, in] in float32. */
  exactMatrix(name: string, out: number, input: number): Parameter {
    return this.declare(name, [out, input], 'exact');
  }

  cache(width: number): CacheRows {
    const cache = new CacheRows(width);
    this.caches.push(cache);
    return cache;
  }
}
