import { blockElements, Type } from '../native/ggml/tensor.js';
import type { DType } from './checkpoint.js';

/** Instead of types whose blocks do not divide a row (llama.cpp, llama-quant.cpp, tensor_type_fallback). */
const SHORTER: { readonly [T in DType]?: DType } = { Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0' };

/** That type where its blocks divide rows of so many numbers, else one with shorter blocks; undefined where none does. */
export function dividing(dtype: DType, columns: number): DType | undefined {
  return [dtype, SHORTER[dtype] ?? 'IQ4_NL'].find((of) => columns % blockElements(Type[of]) === 0);
}
