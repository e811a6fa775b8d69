import koffi from 'koffi';
import { api, type Pointer } from './api.js';
import type { Type } from './tensor.js';

/** Where a type's traits hold the function that makes float32 (ggml.h, ggml_type_traits). */
const TO_FLOAT = 40;
/** Without a name, since koffi takes each name once a process: of blocks, numbers and how many these are. */
const ToFloat = koffi.proto('void', ['void*', 'void*', 'int64_t']);

/** Writes the numbers of whole blocks of any type to `target` as float32. */
export function dequantize(type: Type, from: Pointer, target: Pointer | Float32Array, elements: number): void {
  const toFloat: Pointer = koffi.decode(api().typeTraits(type), TO_FLOAT, 'void*');
  koffi.decode(toFloat, ToFloat)(from, target, elements);
}
