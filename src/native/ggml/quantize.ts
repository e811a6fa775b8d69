import { api, type Pointer } from './api.js';
import { checkStatus } from './status.js';
import { rowBytes, type Type } from './tensor.js';

/**
 * Writes finite numbers as whole blocks of a type that needs no importance of columns: what llama.cpp's quantizer writes.
 * @throws FiddlerError `device`
 */
export function quantize(type: Type, numbers: Float32Array, target: Pointer): void {
  const { length } = numbers;
  const written = api().quantizeChunk(type, numbers, target, 0, 1, length, null);
  checkStatus(written === rowBytes(type, length) ? 0 : -1, 'quantizing weights');
}
