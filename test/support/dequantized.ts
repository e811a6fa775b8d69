import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { api } from '../../src/native/ggml/api.js';
import { dequantize } from '../../src/native/ggml/dequantize.js';
import { blockElements, rowBytes, Type } from '../../src/native/ggml/tensor.js';
import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import { temporaryFolder } from './folder.js';
import { readTensors } from './model.js';
import { type TensorToWrite, writeSafetensors } from './safetensors.js';

/** Numbers of a bf16 or float32 tensor. */
function numbersOf({ dtype, data }: TensorToWrite): Float32Array {
  const bytes = data.slice().buffer;
  return new Float32Array(
    dtype === 'F32' ? bytes : Uint32Array.from(new Uint16Array(bytes), (bits) => bits << 16).buffer,
  );
}

/** What ggml's quantizer makes of numbers, as numbers again; blocks of 32 where those of 256 do not divide a row. */
function roundTrip(numbers: Float32Array, columns: number, wanted: Type): Float32Array {
  const shorter: { readonly [type: number]: Type } = {
    [Type.Q4_K]: Type.Q5_0,
    [Type.Q5_K]: Type.Q5_1,
    [Type.Q6_K]: Type.Q8_0,
  };
  const type = columns % blockElements(wanted) === 0 ? wanted : shorter[wanted]!;
  const rows = numbers.length / columns;
  const blocks = mapAnonymous('blocks', rowBytes(type, numbers.length));
  api().quantizeChunk(type, numbers, blocks.address, 0, rows, columns, null);
  const again = mapAnonymous('numbers', 4 * numbers.length);
  dequantize(type, blocks.address, again.address, numbers.length);
  const result = new Float32Array(view(again.address, again.bytes)).slice();
  unmap(blocks);
  unmap(again);
  return result;
}

/**
 * A model in float32 whose matrices of these names, experts by default, were quantized and dequantized row by row.
 * @returns its folder
 */
export function dequantizedModel(dir: string, type: Type, names = /\.experts\..*weight$/): string {
  const copy = temporaryFolder();
  const files = readdirSync(dir).filter((name) => name.endsWith('.safetensors') && name.startsWith('model'));
  const tensors = files
    .flatMap((file) => readTensors(join(dir, file)))
    .map((tensor): TensorToWrite => {
      const numbers = numbersOf(tensor);
      const made = names.test(tensor.name) ? roundTrip(numbers, tensor.shape.at(-1)!, type) : numbers;
      return { ...tensor, dtype: 'F32', data: new Uint8Array(made.buffer) };
    });
  writeSafetensors(join(copy, 'model.safetensors'), tensors);
  writeFileSync(join(copy, 'config.json'), readFileSync(join(dir, 'config.json')));
  return copy;
}
