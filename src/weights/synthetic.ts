import { Worker } from 'node:worker_threads';
import { mapAnonymous, view } from '../ggml/memory.js';
import { type Checkpoint, STORED_BYTES, type StoredTensor } from './checkpoint.js';
import { MappedCheckpoint } from './mapped.js';

/** Tensors begin at multiples of this many bytes. */
const ALIGNMENT = 4096;

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

/** Where a worker writes what; see fill-worker.ts. */
export interface FillTask {
  from: bigint;
  bytes: number;
  seed: number;
  /** Int32 counter of finished workers. */
  done: SharedArrayBuffer;
}

/**
 * A checkpoint without files: matrices hold random numbers of deviation 0.02, vectors hold ones. Blocks until every
 * page is written, by `threads` workers at once; without workers nothing is written.
 */
export function openSynthetic(name: string, tensors: readonly SyntheticTensor[], threads: number): Checkpoint {
  const offsets = new Map<string, number>();
  let total = 0;
  for (const { name: tensor, like, ...rest } of tensors) {
    if (like !== undefined) offsets.set(tensor, offsets.get(like)!);
    else {
      offsets.set(tensor, total);
      total += Math.ceil(bytesOf(rest) / ALIGNMENT) * ALIGNMENT;
    }
  }
  const mapping = mapAnonymous(name, total);
  if (threads > 0) fill(mapping.address, total, threads);
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

/** What was copied elsewhere may still be another tensor's. */
class SharedCheckpoint extends MappedCheckpoint {
  override release(): void {}
}

function bytesOf({ shape, dtype }: Pick<SyntheticTensor, 'shape' | 'dtype'>): number {
  return shape.reduce((a, b) => a * b, STORED_BYTES[dtype]);
}

/** Fills memory with random bf16 numbers, in parallel. */
function fill(address: bigint, bytes: number, threads: number): void {
  const done = new SharedArrayBuffer(4);
  const counter = new Int32Array(done);
  const share = Math.ceil(bytes / threads / ALIGNMENT) * ALIGNMENT;
  let started = 0;
  for (let from = 0; from < bytes; from += share) {
    const task: FillTask = {
      from: address + BigInt(from),
      bytes: Math.min(share, bytes - from),
      seed: ++started,
      done,
    };
    new Worker(new URL('./fill-worker.js', import.meta.url), { workerData: task });
  }
  for (let finished = 0; finished < started; finished = Atomics.load(counter, 0)) Atomics.wait(counter, 0, finished);
}

/** 1 in bf16. */
const ONE = 0x3f80;
