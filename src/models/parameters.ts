import { FiddlerError } from '../errors.js';
import type { Tensor } from '../native/ggml/tensor.js';

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
  /** They are one matrix, [count · rows, in]. */
  together?: boolean;
  /** The tensor in which other checkpoints hold them alone. */
  alone?: string;
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
    /** A tensor of the same shape that serves in its place where the checkpoint has it. */
    readonly instead?: string,
  ) {}
}

/** A weight [out, in] that multiplies a vector, and what is added to the product: a bias [out]. */
export interface Projection {
  weight: Parameter;
  bias?: Parameter;
}

/** Projections of the same vectors. Where the first `count` of them lie one behind the other, they are one product. */
export class Joined {
  count = 0;
  /** [Σ out, in] and [Σ out], there where `count` is more than 0. */
  weight?: Tensor;
  bias?: Tensor;

  /** @param parts all of the same `in`; each has a bias, or none has */
  constructor(readonly parts: readonly Projection[]) {}
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

/** Numbers that follow from the config and are needed on the device. */
export class Constant {
  tensor!: Tensor;

  constructor(readonly values: Float32Array | Int32Array) {}
}

/** Rows for keys, values or latents of past tokens: [sequences · rows, width] in PyTorch's order. */
export class CacheRows {
  tensor!: Tensor;
  /** Of each sequence. The token at position p has row p mod rows: where there is a window they are fewer than a context's. */
  rows!: number;

  constructor(
    readonly width: number,
    /** Tokens look at most so far back; 0 where they look at all before. */
    readonly window: number,
    /** Positions that share a row: block b of a sequence, the positions [every · b, every · (b + 1)), has row b. */
    readonly every: number,
  ) {}

  /** Rows of each sequence, of which a token for each position would take so many. */
  rowsFor(positions: number): number {
    return Math.ceil(positions / this.every);
  }
}

/** Rows of a table of which each token chooses a few, by itself and those before it. The table stays where it lies in the files. */
export class TokenRows {
  /** F32 [calls, count · width] on the device: what the tokens of a call chose. */
  tensor!: Tensor;

  /** Writes the rows of the last of these tokens, there once the model is loaded. */
  choose!: ChooseRows;

  constructor(
    /** The tensors of which it consists, one behind the other. */
    readonly names: readonly string[],
    readonly width: number,
    /** Rows of each of these tensors, where no checkpoint says that. */
    readonly rows: number,
    /** Rows that a token chooses, and tokens before it by which it does. */
    readonly count: number,
    readonly before: number,
    /** @param rows of the whole table. @throws FiddlerError `file` where the checkpoint's numbers lead beyond them */
    readonly prepare: (rows: number) => ChooseRows,
    /** The tensor with the number that multiplies all, where a checkpoint holds the table in FP8. */
    readonly scale: string,
  ) {}
}

/** Writes the rows that the last of some tokens chooses, by those before it: fewer than it looks back where a text begins. */
export type ChooseRows = (tokens: readonly number[], into: Int32Array) => void;

/** Whole numbers of the checkpoint that are read on the host. `values` are there once loaded. */
export class HostIntegers {
  values!: BigInt64Array;

  constructor(
    readonly name: string,
    readonly shape: readonly number[],
    /** What a model without files has: the number at this index. */
    readonly usual: (index: number) => number,
    /** Numbers of more than 0 that all of them are below. */
    readonly below?: number,
  ) {}
}

/** Numbers of a sequence's past that a recurrent layer keeps, float32: [columns, size], a sequence's in a column of its own. */
export class State {
  tensor!: Tensor;

  /** @param size of a sequence, in elements */
  constructor(readonly size: number) {}
}

/** Numbers that a layer of a call hands on to later ones: F32 [calls, width]. */
export class Carried {
  tensor!: Tensor;

  constructor(readonly width: number) {}
}

/** The largest models have some thousands, their experts not counted. */
const MOST_DECLARED = 100_000;
/** Numbers of a vector on the host: one an expert, or by head and distance, some thousands. */
const LARGEST_HOST_VECTOR = 2 ** 22;

/** Collects what a model's blocks need while a family describes it. @throws FiddlerError `unsupported`: without end */
export class Declarations {
  readonly parameters: Parameter[] = [];
  readonly joined: Joined[] = [];
  readonly hostVectors: HostVector[] = [];
  readonly constants: Constant[] = [];
  readonly caches: CacheRows[] = [];
  readonly states: State[] = [];
  readonly carried: Carried[] = [];
  /** Sliding windows that some layer's attention uses; 0 where it looks at all tokens before. */
  readonly windows = new Set<number>();
  /** Sizes of the blocks of positions that share a row of the KV cache, and the windows of the rings with what they are made of. */
  readonly blocks = new Map<number, number>();
  readonly tables: TokenRows[] = [];
  readonly integers: HostIntegers[] = [];
  readonly relativeBiases: RelativeBias[] = [];
  /**
   * Sequences of more tokens than this are computed otherwise than shorter ones from their first token on (LongRoPE),
   * so that neither can use the other's keys and values.
   */
  extendedBeyond?: number;
  /** Those of `parameters` that are whole, by precision and name. */
  private readonly whole = new Map<string, Parameter>();
  private declared = 0;

  private add<T>(list: T[], thing: T): T {
    if (++this.declared > MOST_DECLARED) {
      const problem = `config.json describes a model of more than ${MOST_DECLARED} tensors beside its experts`;
      throw new FiddlerError('unsupported', problem, 'check its number of layers');
    }
    list.push(thing);
    return thing;
  }

  private declare(name: string, shape: readonly number[], precision: Precision): Parameter {
    const key = `${precision} ${name}`;
    const parameter = this.whole.get(key) ?? this.add(this.parameters, new Parameter(name, shape, precision));
    this.whole.set(key, parameter);
    return parameter;
  }

  /** A weight [out, in] in the computed type. */
  matrix(name: string, out: number, input: number): Parameter {
    return this.declare(name, [out, input], 'matrix');
  }

  /** A weight [out, in] in the computed type that is not `name` where the checkpoint has `instead`. */
  tied(name: string, instead: string, out: number, input: number): Parameter {
    const parameter = new Parameter(name, [out, input], 'matrix', undefined, instead);
    this.parameters.push(parameter);
    return parameter;
  }

  /** Part of a weight [out, in] in the computed type. */
  rowGroups(name: string, out: number, input: number, groups: RowGroups): Parameter {
    return this.add(this.parameters, new Parameter(name, [out, input], 'matrix', groups));
  }

  /** A vector in float32: a norm's weight or a bias. */
  vector(name: string, size: number): Parameter {
    return this.declare(name, [size], 'exact');
  }

  /** A weight [out, in] in float32. */
  exactMatrix(name: string, out: number, input: number): Parameter {
    return this.declare(name, [out, input], 'exact');
  }

  /** Projections of the same vectors, to be one product where they can be. */
  together(parts: readonly Projection[]): Joined {
    const joined = new Joined(parts);
    this.joined.push(joined);
    return joined;
  }

  /** A vector that a router reads on the host. @param shape as stored, where that has more dimensions */
  hostVector(name: string, size: number, shape: readonly number[] = [size]): HostVector {
    if (size > LARGEST_HOST_VECTOR) {
      const problem = `config.json describes ${name} with ${size} numbers, more than ${LARGEST_HOST_VECTOR}`;
      throw new FiddlerError('unsupported', problem, 'check its numbers of heads and experts');
    }
    return this.add(this.hostVectors, new HostVector(name, shape));
  }

  relativeBias(...parts: ConstructorParameters<typeof RelativeBias>): RelativeBias {
    return this.add(this.relativeBiases, new RelativeBias(...parts));
  }

  constant(values: Constant['values']): Constant {
    return this.add(this.constants, new Constant(values));
  }

  /** @param window tokens look at most so far back, 0 for all the way; `every`: positions that share a row */
  cache(width: number, window = 0, every = 1): CacheRows {
    return this.add(this.caches, new CacheRows(width, window, every));
  }

  table(...parts: ConstructorParameters<typeof TokenRows>): TokenRows {
    return this.add(this.tables, new TokenRows(...parts));
  }

  integer(...parts: ConstructorParameters<typeof HostIntegers>): HostIntegers {
    return this.add(this.integers, new HostIntegers(...parts));
  }

  /** @param width numbers of each token */
  carry(width: number): Carried {
    return this.add(this.carried, new Carried(width));
  }

  /** @param size of a sequence, in elements; all zero where it begins */
  state(size: number): State {
    return this.add(this.states, new State(size));
  }
}
