import { api, type Pointer } from '../ggml/api.js';
import { Buffer } from '../ggml/backend.js';
import { rowBytes, type Tensor, TensorContext, type Type } from '../ggml/tensor.js';
import { convertTogether } from '../weights/conversions/crew.js';
import type { Source } from '../weights/source.js';
import { usableCores } from './cores.js';
import type { Device } from './device.js';

const CHUNK_ELEMENTS = 4 << 20;

/** ggml divides a copy between its threads by rows, so a long vector is copied as a matrix with rows of this many. */
const ROW_ELEMENTS = 4096;

const convert = convertTogether(usableCores);

/** Numbers in the host's memory. */
interface InMemory {
  address: Pointer;
  type: Type;
  elements: number;
}

/** Fills tensors of any device from the host's memory, converting between element types on the CPU where they differ. */
export class Uploader {
  constructor(private readonly cpu: Device) {}

  /** Writes `source` into `target` from byte `offset` on; done when this returns. */
  upload(target: Tensor, source: Source, offset = 0): void {
    const { type, elements } = source;
    if ('address' in source) this.write(target, source, offset);
    else {
      this.withScratch(type, elements, (made) => {
        source.make(made.address, convert);
        this.write(target, { address: made.address, type, elements }, offset);
      });
    }
  }

  private write(target: Tensor, { address, type, elements }: InMemory, offset: number): void {
    if (type === target.type) {
      api().tensorSet(target.pointer, address, offset, rowBytes(type, elements));
      return;
    }
    const longest = Math.min(CHUNK_ELEMENTS, elements);
    this.withScratch(target.type, longest, (scratch) => {
      for (let done = 0; done < elements; done += longest) {
        const count = Math.min(longest, elements - done);
        this.convert({ address: address + BigInt(rowBytes(type, done)), type, elements: count }, scratch);
        const at = offset + rowBytes(target.type, done);
        api().tensorSet(target.pointer, scratch.address, at, rowBytes(target.type, count));
      }
    });
  }

  private withScratch(type: Type, elements: number, use: (scratch: Tensor) => void): void {
    const context = new TensorContext(1);
    const scratch = context.tensor(type, elements);
    const memory = Buffer.allocate(context, this.cpu.bufferType, 'memory to convert weights');
    use(scratch);
    memory.free();
    context.free();
  }

  private convert({ address, type, elements }: InMemory, target: Tensor): void {
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
