import type { Checkpoint, Region, ScaleBlock, StoredTensor } from './checkpoint.js';

/** A checkpoint with further tensors, made of its own, that are found by name alone: `tensors` has what was published. */
export class JoinedCheckpoint implements Checkpoint {
  readonly regions: readonly Region[];

  constructor(
    private readonly stored: Checkpoint,
    private readonly made: Checkpoint,
  ) {
    this.regions = [...stored.regions, ...made.regions];
  }

  get tensors(): ReadonlyMap<string, StoredTensor> {
    return this.stored.tensors;
  }

  get scaleBlock(): ScaleBlock | undefined {
    return this.stored.scaleBlock;
  }

  get(name: string): StoredTensor {
    return this.made.tensors.get(name) ?? this.stored.get(name);
  }

  release(address: bigint, bytes: number): void {
    const within = this.made.regions.some((r) => address >= r.address && address < r.address + BigInt(r.bytes));
    (within ? this.made : this.stored).release(address, bytes);
  }

  close(): void {
    this.made.close();
    this.stored.close();
  }
}
