import { rowBytes, type Type } from '../ggml/tensor.js';
import { type ActivationName, type ByMatrix, eachMatrix, type MatrixName, matrixEntries } from './activations.js';
import { biasLayout } from './expert.js';

/** Where an expert's matrix lies in the checkpoint: a tensor of its own, or part of one that holds those of all. */
export interface ExpertMatrix {
  name: string;
  /** Index along the tensor's first dimension, which then counts the experts. */
  index?: number;
  /** The rows from, from + step, from + 2 · step, … of `of` rows; all of them by default. `step` is 1 by default. */
  rows?: { from: number; of: number; step?: number };
  /** It is stored as [in, out]: "rows" are then columns. */
  transposed?: boolean;
  /** It is packed into the tensors `${name}_blocks` and `${name}_scales`. */
  packing?: 'mxfp4';
}

/** The routed experts of one layer. */
export interface ExpertsSpec {
  count: number;
  /** Experts chosen for a token. */
  chosen: number;
  /** Hidden size and the expert's inner width. */
  hidden: number;
  width: number;
  activation: ActivationName;
  /** Those matrices of expert e that the activation takes: inner ones [width, hidden], down [hidden, width], PyTorch's order. */
  matrices(e: number): Readonly<ByMatrix<ExpertMatrix>>;
  /** Biases of expert e, added to what each matrix gives; `rows` are then elements. */
  biases?(e: number): Readonly<ByMatrix<ExpertMatrix>>;
}

/** PyTorch's shape of one matrix. */
export function matrixShape(spec: ExpertsSpec, name: MatrixName): readonly [out: number, input: number] {
  return name === 'down' ? [spec.hidden, spec.width] : [spec.width, spec.hidden];
}

/** Bytes of one expert with matrices of a given type; biases are float32. */
export function expertBytes(spec: ExpertsSpec, type: Type): number {
  const biases = spec.biases ? biasLayout(spec).size * 4 : 0;
  const shapes = matrixEntries(eachMatrix(spec.activation, (name) => matrixShape(spec, name)));
  return shapes.reduce((sum, [, [rows, columns]]) => sum + rows * rowBytes(type, columns), biases);
}
