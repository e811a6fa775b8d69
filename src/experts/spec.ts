import { rowBytes, type Type } from '../ggml/tensor.js';
import { type ActivationName, MATRICES, type MatrixName } from './expert.js';

/** Where an expert's matrix lies in the checkpoint: a tensor of its own, or one of a tensor that holds all. */
export interface ExpertMatrix {
  name: string;
  /** Index along the tensor's first dimension, which then counts the experts. */
  index?: number;
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
  /** Matrices of expert e: gate and up [width, hidden], down [hidden, width], PyTorch's order. */
  matrices(e: number): Readonly<Record<MatrixName, ExpertMatrix>>;
}

/** PyTorch's shape of one matrix. */
export function matrixShape(spec: ExpertsSpec, name: MatrixName): readonly [out: number, input: number] {
  return name === 'down' ? [spec.hidden, spec.width] : [spec.width, spec.hidden];
}

/** Bytes of one expert in a given type. */
export function expertBytes(spec: ExpertsSpec, type: Type): number {
  return MATRICES.reduce((sum, name) => {
    const [rows, columns] = matrixShape(spec, name);
    return sum + rows * rowBytes(type, columns);
  }, 0);
}
