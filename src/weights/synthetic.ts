import { rowBytes, Type } from '../native/ggml/tensor.js';
import { mapAnonymous, pageSize, view } from '../native/os/memory.js';
import type { Checkpoint, DType, StoredTensor } from './checkpoint.js';
import { convertTogether } from './conversions/crew.js';
import { alignmentOf, noise } from './conversions/random.js';
import { MappedCheckpoint } from './mapped.js';

/** Less is filled by the calling thread alone, in bytes. */
const TOGETHER = 256 << 20;

/** A tensor of a model without files. */
export interface SyntheticTensor {
  name: string;
  shape: readonly number[];
  dtype: DType | 'U8' | 'I64';
  /** What every byte is, where that is not random. */
  byte?: number;
  /** Of type I64: the number at this index. */
  integers?: (index: number) => number;
  /** Nothing is written to it, so that it takes no memory: all of it is zero. */
  blank?: boolean;
  /** An earlier tensor of the same shape whose memory it shares. */
  like?: string;
}

/**
 * A checkpoint without files: matrices hold random numbers of deviation 0.02, vectors hold ones. Blocks until every
 * page is written, by `threads` threads at once; with 0 only whole numbers are written.
 */
export function openSynthetic(name: string, tensors: readonly SyntheticTensor[], threads: number): Checkpoint {
  const { offsets, regions, total } = place(tensors);
  const mapping = mapAnonymous(name, total);
  const fill = convertTogether(() => threads, TOGETHER);
  for (const { dtype, from, bytes } of threads > 0 ? regions : []) {
    fill(noise(bytes, dtype), mapping.address + BigInt(from));
  }
  const stored = new Map<string, StoredTensor>();
  for (const tensor of tensors) {
    const address = mapping.address + BigInt(offsets.get(tensor.name)!);
    const { shape, dtype, byte, integers, blank, like } = tensor;
    const bytes = bytesOf(tensor);
    if (integers) new BigInt64Array(view(address, bytes)).forEach((_, i, all) => void (all[i] = BigInt(integers(i))));
    else if (threads > 0 && like === undefined && !blank) {
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

/** Tensors of one type lie together: what repeats in them begins with whole blocks. */
interface Region {
  dtype: DType;
  from: number;
  bytes: number;
}

function place(tensors: readonly SyntheticTensor[]) {
  const offsets = new Map<string, number>();
  const regions: Region[] = [];
  let total = 0;
  const put = (some: readonly SyntheticTensor[], alignment: number) => {
    for (const tensor of some) {
      const { name, like } = tensor;
      offsets.set(name, like === undefined ? total : offsets.get(like)!);
      if (like === undefined) total += Math.ceil(bytesOf(tensor) / alignment) * alignment;
    }
  };
  const noiseOf = ({ dtype }: SyntheticTensor) => (dtype === 'U8' || dtype === 'I64' ? 'BF16' : dtype);
  const written = tensors.filter(({ blank }) => !blank);
  for (const dtype of new Set(written.map(noiseOf))) {
    const from = total;
    put(
      written.filter((t) => noiseOf(t) === dtype),
      alignmentOf(dtype),
    );
    regions.push({ dtype, from, bytes: total - from });
  }
  put(
    tensors.filter(({ blank }) => blank),
    pageSize,
  );
  return { offsets, regions, total };
}

/** What was copied elsewhere may still be another tensor's. */
class SharedCheckpoint extends MappedCheckpoint {
  override release(): void {}
}

function bytesOf({ shape, dtype }: Pick<SyntheticTensor, 'shape' | 'dtype'>): number {
  const elements = shape.reduce((a, b) => a * b, 1);
  return dtype === 'U8' ? elements : rowBytes(Type[dtype], elements);
}

/** 1 in bf16. */
const ONE = 0x3f80;
