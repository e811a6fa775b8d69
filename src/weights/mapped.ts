import { FiddlerError } from '../errors.js';
import { type Mapping, release, unmap } from '../native/os/memory.js';
import { type Checkpoint, type ScaleBlock, STORED_BYTES, type StoredTensor } from './checkpoint.js';

/** A tensor whose element type this engine does not compute with. */
export interface UnsupportedTensor {
  readonly name: string;
  readonly dtype: string;
  readonly file: string;
  /** Types that its format has and that are computed with. */
  readonly computed?: readonly string[];
}

/** A checkpoint over mapped files; a format's reader gives it tensors that it checked. */
export class MappedCheckpoint implements Checkpoint {
  #mappings: readonly Mapping[];

  constructor(
    private readonly dir: string,
    mappings: readonly Mapping[],
    readonly tensors: ReadonlyMap<string, StoredTensor>,
    private readonly unsupported: ReadonlyMap<string, UnsupportedTensor>,
    readonly scaleBlock?: ScaleBlock,
    /** Why a tensor is not there, where that is known. */
    private readonly absence: (name: string) => FiddlerError | undefined = () => undefined,
  ) {
    this.#mappings = mappings;
  }

  get(name: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (tensor) return tensor;
    const other = this.unsupported.get(name);
    if (other) {
      throw new FiddlerError(
        'unsupported',
        `tensor ${quote(name)} in ${other.file} has type ${quote(other.dtype)}`,
        `use a checkpoint whose tensors are ${(other.computed ?? Object.keys(STORED_BYTES)).join(', ')}`,
      );
    }
    const reason = this.absence(name);
    if (reason) throw reason;
    throw new FiddlerError(
      'file',
      `${this.dir} has no tensor named ${quote(name)}`,
      'download every file of the model again, and check that config.json belongs to these weights',
    );
  }

  get regions(): readonly Mapping[] {
    return this.#mappings;
  }

  release(address: bigint, bytes: number): void {
    // Outside a mapping the same call would wipe this process's own memory.
    const end = address + BigInt(bytes);
    if (!this.#mappings.some((m) => address >= m.address && end <= m.address + BigInt(m.bytes))) {
      throw new RangeError('release outside the mapped files');
    }
    release(address, bytes);
  }

  close(): void {
    const mappings = this.#mappings;
    this.#mappings = [];
    for (const mapping of mappings) unmap(mapping);
  }
}

/** A name from a file, cut and escaped so that a message stays one line. */
export function quote(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}
