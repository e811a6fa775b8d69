import type { Uploader } from '../devices/upload.js';
import type { Pointer } from '../ggml/api.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { matrixEntries } from './activations.js';
import type { PlacedExpert } from './expert.js';
import type { StoredExpert } from './stored.js';

/** Writes an expert to where it is computed, and lets the pages of the files go that it was read from, part by part. */
export function writeExpert(
  uploader: Uploader,
  checkpoint: Checkpoint,
  found: StoredExpert,
  placed: PlacedExpert,
): void {
  const release = (address: Pointer, bytes: number) => checkpoint.release(address, bytes);
  for (const [name, matrix] of matrixEntries(found)) {
    const { tensor, index = 0 } = placed[name]!;
    uploader.upload(tensor, matrix, index * tensor.strides[2], release);
    for (const { address, bytes } of matrix.reads) release(address, bytes);
  }
  if (!found.biases || !placed.biases) return;
  const { tensor, index = 0 } = placed.biases;
  let offset = index * tensor.strides[1];
  for (const [, bias] of matrixEntries(found.biases)) {
    uploader.upload(tensor, bias, offset);
    offset += bias.columns * 4;
  }
}

/** Lets the pages of the files go that an expert was read from. */
export function releaseExpert(checkpoint: Checkpoint, found: StoredExpert): void {
  for (const [, { reads }] of matrixEntries(found)) {
    for (const { address, bytes } of reads) checkpoint.release(address, bytes);
  }
}
