import { mapAnonymous, view } from '../ggml/memory.js';
import { type Checkpoint, STORED_BYTES, type StoredTensor } from './checkpoint.js';
import { convertTogether } from './conversions/crew.js';
import { noise } from './conversions/random.js';
import { MappedCheckpoint } from './mapped.js';

/** Tensors begin at multiples of this many bytes. */
const ALIGNMENT = 4096;

/** Less is filled by the calling thread alone, in bytes. */
const TOGETHER = 256 << 20;

/** A tensor of a model without files. */
export interface SyntheticTensor {
  name: string;
  shape: readonly number[];
  dtype: 'BF16' | 'U8';
  /** What every byte is, where that is not random. */
  byte?: number;
  /** An earlier tensor of the same shape whose memory it shares. */
  like?: string;
}

/**
 * A checkpoint without files: matrices hold random numbers of deviation 0.02, vectors hold ones. Blocks until every
 * page is written, by `threads` threads at once; with 0 nothing is written.
 */
export function openSynthetic(name: string, tensors: readonly SyntheticTensor[], threads: number): Checkpoint {
  const { offsets, total } = place(tensors);
  const mapping = mapAnonymous(name, total);
  if (threads > 0) convertTogether(() => threads, TOGETHER)(noise(total), mapping.address);
  const stored = new Map<string, StoredTensor>();
  for (const tensor of tensors) {
    const address = mapping.address + BigInt(offsets.get(tensor.name)!);
    const { shape, dtype, byte, like } = tensor;
    const bytes = bytesOf(tensor);
    if (threads > 0 && like === undefined) {
      if (byte !== undefined) new Uint8Array(view(address, bytes)).fill(byte);
      else if (shape.length === 1) new Uint16Array(view(address, bytes)).fill(ONE);
    }
    stored.set(tensor.name, { name: tensor.name, shape, dtype, address, bytes, file: name });
  }
  const shared = tensors.some(({ like }) => like !== undefined);
  return new (shared ? SharedCheckpoint : MappedCheckpoint)(name, [mapping], stored, new Map());
}

/** Bytes that the tensors of such a checkpoint take. */
export function syntheticBytes(tensors: readonly SyntheticTensor[]): number {
  return place(tensors).total;
}

function place(tensors: readonly SyntheticTensor[]): { offsets: Map<string, number>; total: number } {
  const offsets = new Map<string, number>();
  let total = 0;
  for (const { name, like, ...rest } of tensors) {
    if (like !== undefined) offsets.set(name, offsets.get(like)!);
    else {
      offsets.set(name, total);
      total += Math.ceil(bytesOf(rest) / ALIGNMENT) * ALIGNMENT;
    }
  }
  return { offsets, total };
}

/** What was copied elsewhere may still be another tensor's. */
class SharedCheckpoint extends MappedCheckpoint {
  override release(): void {}
}

function bytesOf({ shape, dtype }: Pick<SyntheticTensor, 'shape' | 'dtype'>): number {
  return shape.reduce((a, b) => a * b, STORED_BYTES[dtype]);
}

/** 1 in bf16. */
const ONE = 0x3f80;
