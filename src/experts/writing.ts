import type { Uploader } from '../devices/upload.js';
import type { Pointer } from '../native/ggml/api.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { matrixEntries } from './activations.js';
import type { PlacedExpert, PlacedMatrix } from './expert.js';
import type { StoredExpert } from './stored.js';

/** Writes an expert to where it is computed, and lets the pages of the files go that it was read from, part by part. */
export function writeExpert(
  uploader: Uploader,
  checkpoint: Checkpoint,
  found: StoredExpert,
  placed: PlacedExpert,
): void {
  const entries = matrixEntries(found);
  for (const [i, [name, matrix]] of entries.entries()) {
    const { tensor, index = 0 } = placed[name]!;
    // Rows of gate and up may take turns in one tensor: pages that are still to be read stay, since those of a model
    // without files would come back as zeros.
    const awaited = entries.slice(i + 1).flatMap(([, { reads }]) => reads);
    const release = (address: Pointer, bytes: number) => {
      const needed = awaited.some(
        (read) => address < read.address + BigInt(read.bytes) && read.address < address + BigInt(bytes),
      );
      if (!needed) checkpoint.release(address, bytes);
    };
    uploader.upload(tensor, matrix, index * tensor.strides[2], release);
    for (const { address, bytes } of matrix.reads) release(address, bytes);
  }
  if (placed.biases) writeBiases(uploader, found, placed.biases);
}

/** Writes an expert's biases, if it has any, one behind the other. */
export function writeBiases(uploader: Uploader, { biases }: StoredExpert, { tensor, index = 0 }: PlacedMatrix): void {
  let offset = index * tensor.strides[1];
  for (const [, bias] of biases ? matrixEntries(biases) : []) {
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
