import { blockElements, rowBytes, type Type } from '../native/ggml/tensor.js';
import type { Mxfp4Packing } from '../weights/mxfp4.js';
import {
  type ActivationName,
  type ByMatrix,
  eachMatrix,
  innerMatrices,
  type MatrixName,
  matrixEntries,
} from './activations.js';
import { vectorSize } from './expert.js';

/** Where an expert's matrix lies in the checkpoint: a tensor of its own, or part of one that holds those of all. */
export interface ExpertMatrix {
  name: string;
  /** Index along the tensor's first dimension, which then counts the experts. */
  index?: number;
  /** The rows from, from + step, from + 2 · step, … of `of` rows; all of them by default. `step` is 1 by default. */
  rows?: { from: number; of: number; step?: number };
  /** It is stored as [in, out]: "rows" are then columns. */
  transposed?: boolean;
  packing?: Mxfp4Packing;
}

/** Where the matrices of expert e lie. */
export type ExpertMatrices = (e: number) => Readonly<ByMatrix<ExpertMatrix>>;

/** The routed experts of one layer. */
export interface ExpertsSpec {
  count: number;
  /** Experts chosen for a token. */
  chosen: number;
  /** Hidden size and the expert's inner width. */
  hidden: number;
  width: number;
  activation: ActivationName;
  /**
   * Those matrices that the activation takes, as the model is published: inner ones [width, hidden], down [hidden, width],
   * PyTorch's order.
   */
  matrices: ExpertMatrices;
  /** How else checkpoints hold them. */
  alternatives?: readonly ExpertMatrices[];
  /** Biases, added to what each matrix gives; `rows` are then elements. */
  biases?: ExpertMatrices;
  /** Factors of what each matrix gives, a number each; experts that have these have no biases. */
  scales?: ExpertMatrices;
}

/** PyTorch's shape of one matrix. */
export function matrixShape(spec: ExpertsSpec, name: MatrixName): readonly [out: number, input: number] {
  return name === 'down' ? [spec.hidden, spec.width] : [spec.width, spec.hidden];
}

/** The type in which each matrix of a layer's experts is computed. */
export type MatrixTypes = Readonly<ByMatrix<Type>>;

/** One type for all matrices. */
export function uniformTypes({ activation }: Pick<ExpertsSpec, 'activation'>, type: Type): MatrixTypes {
  return eachMatrix(activation, () => type);
}

/** Weights of one expert's matrices. */
export function weightsOf({ activation, hidden, width }: ExpertsSpec): number {
  return (innerMatrices(activation).length + 1) * hidden * width;
}

/** Bytes of one expert with matrices of these types; biases and factors are float32. */
export function expertBytes(spec: ExpertsSpec, types: MatrixTypes): number {
  return matrixEntries(types).reduce((sum, [name, type]) => {
    const [rows, columns] = matrixShape(spec, name);
    return sum + rows * rowBytes(type, columns);
  }, 4 * vectorSize(spec));
}

/** An expert is divided at multiples of so many inner rows: they are columns of down, whose blocks stay whole. */
export function rowsTogether({ down }: MatrixTypes): number {
  return blockElements(down);
}
