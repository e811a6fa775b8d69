import type { Checkpoint, Region, ScaleBlock, StoredTensor } from './checkpoint.js';

/** A part of tensors' names as a model is published, and what that is called elsewhere. */
export type Renaming = readonly [published: string, elsewhere: string];

/** A checkpoint whose tensors are found by their published names, whichever names they are stored by. */
export class RenamedCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;

  /** @param renamings each that applies to a name does, in turn */
  constructor(
    private readonly stored: Checkpoint,
    renamings: readonly Renaming[],
  ) {
    const tensors = new Map(stored.tensors);
    for (const [name, tensor] of stored.tensors) {
      const published = publishedName(name, renamings);
      if (!tensors.has(published)) tensors.set(published, tensor);
    }
    this.tensors = tensors;
  }

  get(name: string): StoredTensor {
    return this.tensors.get(name) ?? this.stored.get(name);
  }

  get regions(): readonly Region[] {
    return this.stored.regions;
  }

  get scaleBlock(): ScaleBlock | undefined {
    return this.stored.scaleBlock;
  }

  release(address: bigint, bytes: number): void {
    this.stored.release(address, bytes);
  }

  close(): void {
    this.stored.close();
  }
}

function publishedName(name: string, renamings: readonly Renaming[]): string {
  return renamings.reduce((so, [published, elsewhere]) => so.replace(elsewhere, published), name);
}
