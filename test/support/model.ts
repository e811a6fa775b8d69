import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folder.js';
import { type TensorToWrite, writeSafetensors } from './safetensors.js';

/** The golden model from which others are made, changed in one place. */
export const SMALL_MODEL = 'test/golden/mixtral';

/** The tensors of a safetensors file. */
export function readTensors(file: string): TensorToWrite[] {
  const bytes = readFileSync(file);
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    bytes.toString('utf8', 8, begin),
  );
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        return { name, dtype, shape, data: new Uint8Array(bytes.subarray(begin + from, begin + to)) };
      },
    );
}

/** What a copy of the model is to differ in. */
export interface Changes {
  /** Keys of config.json to set; undefined leaves one out. */
  config?: Readonly<Record<string, unknown>>;
  tensors?: (tensors: TensorToWrite[]) => TensorToWrite[];
  /** Changes the weights' bytes as they are written. */
  file?: (bytes: Buffer) => Uint8Array;
}

/** A copy of the small model, changed, in a folder of its own. */
export function changedModel({ config, tensors, file }: Changes): string {
  const dir = temporaryFolder();
  const original = JSON.parse(readFileSync(join(SMALL_MODEL, 'config.json'), 'utf8'));
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...original, ...config }));
  const weights = join(dir, 'model.safetensors');
  const read = readTensors(join(SMALL_MODEL, 'model.safetensors'));
  writeSafetensors(weights, tensors ? tensors(read) : read);
  if (file) writeFileSync(weights, file(readFileSync(weights)));
  return dir;
}

/** `tensors` with one of them replaced, or left out where `change` gives undefined. */
export function changeTensor(
  name: string,
  change: (tensor: TensorToWrite) => TensorToWrite | undefined,
): (tensors: TensorToWrite[]) => TensorToWrite[] {
  return (tensors) => {
    if (!tensors.some((tensor) => tensor.name === name)) throw new Error(`there is no tensor ${name} to change`);
    return tensors.flatMap((tensor) => (tensor.name === name ? (change(tensor) ?? []) : tensor));
  };
}

/** The same numbers as float32. */
export function upcast(tensor: TensorToWrite): TensorToWrite {
  const halves = new Uint16Array(tensor.data.slice().buffer);
  const floats = Uint32Array.from(halves, (bits) => bits << 16); // bfloat16 is float32 without its lower half
  return { ...tensor, dtype: 'F32', data: new Uint8Array(floats.buffer) };
}
