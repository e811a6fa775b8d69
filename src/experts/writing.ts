import type { Uploader } from '../devices/upload.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { biasLayout, MATRICES, type PlacedExpert } from './expert.js';
import type { StoredExpert } from './stored.js';

/** Writes an expert to where it is computed. */
export function writeExpert(uploader: Uploader, found: StoredExpert, placed: PlacedExpert): void {
  for (const name of MATRICES) {
    const { tensor, index = 0 } = placed[name];
    uploader.upload(tensor, found[name], index * tensor.strides[2]);
  }
  if (!found.biases || !placed.biases) return;
  const { tensor, index = 0 } = placed.biases;
  const before = biasLayout({ hidden: found.down.rows, width: found.up.rows });
  for (const name of MATRICES) {
    uploader.upload(tensor, found.biases[name], index * tensor.strides[1] + before[name] * 4);
  }
}

/** Lets the pages of the files go that an expert was read from. */
export function releaseExpert(checkpoint: Checkpoint, found: StoredExpert): void {
  for (const name of MATRICES) {
    for (const { address, bytes } of found[name].reads) checkpoint.release(address, bytes);
  }
}
