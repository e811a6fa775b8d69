import type { Device } from '../devices/device.js';
import type { MappedTensors } from '../devices/mapped.js';
import { scratchBytes, Uploader } from '../devices/upload.js';
import type { CacheRows, Joined, Parameter, RowGroups, State } from '../models/parameters.js';
import { api, type Pointer } from '../native/ggml/api.js';
import type { Buffer } from '../native/ggml/backend.js';
import { rowBytes, TensorContext, Type } from '../native/ggml/tensor.js';
import { stateColumns } from '../network/states.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import type { Layout } from '../weights/conversions/gather.js';
import { findSource, rearranged, type StoredSource } from '../weights/source.js';
import { JOINED_TENSORS, joinProjections } from './joining.js';

/** Where one parameter comes from and in which type it is held. */
export interface FoundParameter {
  parameter: Parameter;
  source: StoredSource;
  type: Type;
  bytes: number;
}

/**
 * Finds every parameter in the checkpoint.
 * @param type the computed type of matrices; undefined is the stored one
 * @throws FiddlerError `file` or `unsupported`: missing, or of another shape or type than the model takes
 */
export function findParameters(
  checkpoint: Checkpoint,
  parameters: readonly Parameter[],
  type?: Type,
): FoundParameter[] {
  return parameters.map((parameter) => {
    const { precision } = parameter;
    const source = findParameter(checkpoint, parameter);
    const held = precision === 'exact' ? Type.F32 : (type ?? source.held ?? source.type);
    return { parameter, source, type: held, bytes: rowBytes(held, source.elements) };
  });
}

function findParameter(checkpoint: Checkpoint, parameter: Parameter): StoredSource {
  const { name, shape, groups, instead } = parameter;
  if (!groups) return findSource(checkpoint, instead && checkpoint.tensors.has(instead) ? instead : name, shape);
  const { alone } = groups;
  if (alone !== undefined && checkpoint.tensors.has(alone)) {
    return findSource(checkpoint, alone, [...heldSizes(parameter)].reverse());
  }
  return rearranged(findSource(checkpoint, name, shape), groupLayout(shape, groups));
}

function groupLayout([out, input]: readonly number[], { count, from, rows, transposed }: RowGroups): Layout {
  const layout = { offset: from * input!, group: (out! / count) * input! };
  return transposed
    ? { shape: [count, input!, rows], offset: layout.offset, strides: [layout.group, 1, input!] }
    : { shape: [count, rows, input!], offset: layout.offset, strides: [layout.group, input!, 1] };
}

/** Sizes in which a parameter is held, innermost first. */
export function heldSizes({ shape, groups }: Parameter): [columns: number, rows: number, groups: number] {
  const [columns, rows = 1] = [...shape].reverse() as [number, number?];
  if (!groups) return [columns, rows, 1];
  if (groups.together) return [columns, groups.count * groups.rows, 1];
  return groups.transposed ? [groups.rows, columns, groups.count] : [columns, groups.rows, groups.count];
}

/** Places parameters on a device: in the mapped file where the device computes in RAM and the type is the stored one. */
export class Parameters {
  private readonly context: TensorContext;
  private readonly copied: FoundParameter[] = [];

  /** @param joined projections of the same vectors, which are one matrix where they are copied and can be */
  constructor(
    device: Device,
    mapped: MappedTensors,
    private readonly found: readonly FoundParameter[],
    joined: readonly Joined[],
  ) {
    this.context = new TensorContext(found.length + JOINED_TENSORS * joined.length);
    for (const each of found) {
      const { parameter, source, type } = each;
      const [columns, rows, groups] = heldSizes(parameter);
      if (device.unified && 'address' in source && type === source.type && groups === 1) {
        parameter.tensor = mapped.at(source.address, type, rows, columns);
      } else this.copied.push(each);
    }
    // What is computed in RAM has no kernels to save.
    const types = new Map(device.unified ? [] : this.copied.map(({ parameter, type }) => [parameter, type]));
    const placed = joinProjections(this.context, joined, types, device.alignment);
    for (const { parameter, type } of this.copied) {
      if (!placed.has(parameter)) parameter.tensor = this.context.tensor(type, ...heldSizes(parameter));
    }
    if (this.copied.length > 0) device.allocate(this.context, 'weights').markWeights();
  }

  /** Copies the weights over and lets their pages in RAM go, but for the tensor at `keep`, which the CPU reads too. */
  fill(checkpoint: Checkpoint, cpu: Device, keep: Pointer, onBytes: (bytes: number) => void): void {
    const uploader = new Uploader(cpu);
    for (const { parameter, source } of this.copied) {
      const kept = source.reads.some((read) => read.address === keep);
      const release = (address: Pointer, bytes: number) => {
        if (!kept) checkpoint.release(address, bytes);
      };
      uploader.upload(parameter.tensor, source, 0, release);
      for (const { address, bytes } of source.reads) {
        release(address, bytes);
        onBytes(bytes);
      }
    }
  }

  /** Bytes in the type in which they are held. */
  get bytes(): number {
    return this.found.reduce((sum, f) => sum + f.bytes, 0);
  }

  /** Bytes of those that are copied, in the type in which they are held. */
  get copiedBytes(): number {
    return this.copied.reduce((sum, f) => sum + f.bytes, 0);
  }

  /** Most bytes that `fill` takes meanwhile. */
  get scratchBytes(): number {
    return Math.max(0, ...this.copied.map(({ source, type }) => scratchBytes(source, type)));
  }

  /** Bytes that `fill` reads. */
  get storedBytes(): number {
    return this.copied.reduce((sum, f) => sum + f.source.reads.reduce((bytes, read) => bytes + read.bytes, 0), 0);
  }
}

/** The KV cache: rows of every declared cache, on the device that computes attention. */
export class KvCache {
  private readonly buffer?: Buffer;

  /** @param rows for each of the sequences, by the caches' windows */
  constructor(
    device: Device,
    private readonly caches: readonly CacheRows[],
    rows: ReadonlyMap<number, number>,
    sequences: number,
    type: Type,
  ) {
    const context = new TensorContext(caches.length);
    for (const cache of caches) {
      cache.rows = cache.rowsFor(rows.get(cache.window)!);
      cache.tensor = context.tensor(type, cache.width, sequences * cache.rows);
    }
    if (caches.length === 0) return;
    this.buffer = device.allocate(context, 'the KV cache');
    if (!device.countsOnly) this.clear();
  }

  /** Rows beyond the filled ones are masked, but a value that is not a number would survive a weight of zero. */
  clear(): void {
    this.buffer?.clear();
  }

  /** Does so for one sequence. */
  clearSlot(slot: number): void {
    for (const { tensor, rows } of this.caches) {
      const bytes = tensor.strides[1] * rows;
      api().tensorMemset(tensor.pointer, 0, slot * bytes, bytes);
    }
  }

  /** Bytes for each sequence. */
  static bytes(caches: readonly CacheRows[], rows: ReadonlyMap<number, number>, type: Type): number {
    const rowsOf = (cache: CacheRows) => cache.rowsFor(rows.get(cache.window)!);
    return caches.reduce((sum, cache) => sum + rowBytes(type, cache.width) * rowsOf(cache), 0);
  }
}

/** Memory for the states of recurrent layers, on the device that computes those. */
export class StateMemory {
  private readonly buffer?: Buffer;

  constructor(device: Device, states: readonly State[], sequences: number) {
    const context = new TensorContext(states.length);
    for (const state of states) state.tensor = context.tensor(Type.F32, state.size, stateColumns(sequences));
    if (states.length === 0) return;
    this.buffer = device.allocate(context, 'recurrent states');
    if (!device.countsOnly) this.clear();
  }

  clear(): void {
    this.buffer?.clear();
  }

  static bytes(states: readonly State[], sequences: number): number {
    return states.reduce((sum, { size }) => sum + size * 4, 0) * stateColumns(sequences);
  }
}
