import { api, type Pointer } from '../native/ggml/api.js';
import { Buffer } from '../native/ggml/backend.js';
import { blockElements, rowBytes, type Tensor, TensorContext, type Type } from '../native/ggml/tensor.js';
import { mapAnonymous, unmap } from '../native/os/memory.js';
import { quantizing } from '../weights/conversions/quantize.js';
import type { Source } from '../weights/source.js';
import { convert } from './convert.js';
import type { Device } from './device.js';

/** Numbers that are converted or copied at once. */
const CHUNK_ELEMENTS = 4 << 20;

/** ggml divides a copy between its threads by rows, so a long vector is copied as a matrix with rows of this many. */
const ROW_ELEMENTS = 4096;

/** Numbers in the host's memory. */
interface InMemory {
  address: Pointer;
  type: Type;
  elements: number;
}

/** Called with a part of the host's memory once it was read. */
export type OnRead = (address: Pointer, bytes: number) => void;

/** Bytes that writing `source` as numbers of `type` takes meanwhile, beside what it reads. */
export function scratchBytes(source: Source, type: Type): number {
  const { elements } = source;
  const made = 'address' in source ? 0 : rowBytes(source.type, elements);
  return made + (type === source.type ? 0 : rowBytes(type, Math.min(CHUNK_ELEMENTS, elements)));
}

/** Fills tensors of any device from the host's memory, converting between element types on the CPU where they differ. */
export class Uploader {
  constructor(private readonly cpu: Device) {}

  /** Writes `source` into `target` from byte `offset` on; done when this returns. */
  upload(target: Tensor, source: Source, offset = 0, onRead: OnRead = () => {}): void {
    const { type, elements } = source;
    if ('address' in source) this.write(target, source, offset, onRead);
    else {
      this.withScratch(type, elements, (made) => {
        source.make(made.address, convert);
        this.write(target, { address: made.address, type, elements }, offset);
      });
    }
  }

  private write(target: Tensor, source: InMemory, offset: number, onRead: OnRead = () => {}): void {
    const { type, elements } = source;
    const inChunks = (write: (chunk: InMemory, at: number) => void) => {
      for (let done = 0; done < elements; done += CHUNK_ELEMENTS) {
        const address = source.address + BigInt(rowBytes(type, done));
        const chunk = { address, type, elements: Math.min(CHUNK_ELEMENTS, elements - done) };
        write(chunk, offset + rowBytes(target.type, done));
        onRead(address, rowBytes(type, chunk.elements));
      }
    };
    if (type === target.type) {
      inChunks((chunk, at) => api().tensorSet(target.pointer, chunk.address, at, rowBytes(type, chunk.elements)));
      return;
    }
    this.withScratch(target.type, Math.min(CHUNK_ELEMENTS, elements), (scratch) => {
      inChunks((chunk, at) => {
        this.convert(chunk, scratch);
        api().tensorSet(target.pointer, scratch.address, at, rowBytes(target.type, chunk.elements));
      });
    });
  }

  /** Pages of its own: the heap would keep pieces of such blocks. */
  private withScratch(type: Type, elements: number, use: (scratch: Tensor) => void): void {
    const context = new TensorContext(1);
    const scratch = context.tensor(type, elements);
    const memory = mapAnonymous('memory to convert weights', scratch.bytes);
    const buffer = Buffer.over(memory.address, memory.bytes);
    buffer.place(scratch, memory.address);
    use(scratch);
    buffer.free();
    unmap(memory);
    context.free();
  }

  private convert({ address, type, elements }: InMemory, target: Tensor): void {
    if (blockElements(target.type) > 1) {
      convert(quantizing(address, type, target.type, elements), target.address);
      return;
    }
    // ggml takes a buffer from an aligned address only; the tensor in it may lie anywhere.
    const base = address - (address % 64n);
    const context = new TensorContext(1);
    const input = context.tensor(type, elements);
    const buffer = Buffer.over(base, Number(address - base) + input.bytes);
    buffer.place(input, address);
    const whole = elements - (elements % ROW_ELEMENTS);
    this.cpu.once(16, (g) => {
      const part = (a: Tensor, from: number, width: number, rows: number) =>
        g.reshape(g.slice(a, from, width * rows), width, rows);
      const copy = (...place: [from: number, width: number, rows: number]) =>
        g.compute(g.copy(part(input, ...place), part(target, ...place)));
      if (whole > 0) copy(0, ROW_ELEMENTS, whole / ROW_ELEMENTS);
      if (whole < elements) copy(whole, elements - whole, 1);
    });
    buffer.free();
    context.free();
  }
}
