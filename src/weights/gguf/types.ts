import { Type, type TypeName, typeName } from '../../native/ggml/tensor.js';
import type { StoredDType } from '../checkpoint.js';

const KNOWN = new Map<number, TypeName>(Object.values(Type).map((type) => [type, typeName(type)]));

/** Every type that is computed. */
export const COMPUTED_TYPES = [...KNOWN.values()].filter((name) => name !== 'I32' && name !== 'I64');

/** Types that other programs write, or earlier ones wrote, by their numbers. */
const FOREIGN: Readonly<Record<number, string>> = {
  4: 'Q4_2 (removed from ggml)',
  5: 'Q4_3 (removed from ggml)',
  9: 'Q8_1',
  15: 'Q8_K',
  24: 'I8',
  25: 'I16',
  28: 'F64',
  31: 'Q4_0_4_4 (removed from ggml)',
  32: 'Q4_0_4_8 (removed from ggml)',
  33: 'Q4_0_8_8 (removed from ggml)',
  36: 'I2_S (BitNet), or IQ4_NL_4_4 (removed from ggml)',
  37: 'IQ4_NL_4_8 (removed from ggml)',
  38: 'IQ4_NL_8_8 (removed from ggml)',
  97: 'Q8_0_X4 (ik_llama.cpp)',
  98: 'Q8_1_X4 (ik_llama.cpp)',
  99: 'Q8_2_X4 (ik_llama.cpp)',
  133: 'Q6_0 (ik_llama.cpp)',
  134: 'IQ1_BN (ik_llama.cpp)',
  135: 'IQ2_BN (ik_llama.cpp)',
  136: 'Q8_K64 (ik_llama.cpp)',
  137: 'IQ2_K (ik_llama.cpp)',
  138: 'IQ3_K (ik_llama.cpp)',
  139: 'IQ4_K (ik_llama.cpp)',
  140: 'IQ5_K (ik_llama.cpp)',
  141: 'IQ6_K (ik_llama.cpp)',
  144: 'IQ4_KS (ik_llama.cpp)',
  145: 'IQ2_KS (ik_llama.cpp)',
  146: 'IQ4_KSS (ik_llama.cpp)',
  152: 'IQ5_KS (ik_llama.cpp)',
  153: 'IQ2_KT (ik_llama.cpp)',
  154: 'IQ3_KT (ik_llama.cpp)',
  155: 'IQ4_KT (ik_llama.cpp)',
  156: 'IQ3_KS (ik_llama.cpp)',
  157: 'IQ2_KL (ik_llama.cpp)',
  158: 'IQ1_KT (ik_llama.cpp)',
};

/** The type of that number, where ggml computes with it or it is of whole numbers. */
export function storedType(number: number): (StoredDType & TypeName) | undefined {
  return KNOWN.get(number);
}

/** What a type that is not computed is called. */
export function foreignName(number: number): string {
  if (FOREIGN[number]) return FOREIGN[number];
  return number >= 200 && number < 400 ? `${number} (repacked, ik_llama.cpp)` : `${number} (unknown)`;
}
