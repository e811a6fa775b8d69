import type { Device } from '../devices/device.js';
import type { State } from '../models/parameters.js';
import { api } from '../native/ggml/api.js';
import type { Keeper } from './kept.js';

/** Snapshots of a sequence's states, at most: where prompts part, and the last turn. */
const SNAPSHOTS = 2;

/** Columns of a state's tensor: those of the sequences themselves, then their snapshots. */
export function stateColumns(sequences: number): number {
  return sequences * (1 + SNAPSHOTS);
}

/** A copy of a sequence's states behind so many tokens. */
interface Snapshot {
  position: number;
  column: number;
}

/** States of recurrent layers: a slot for each sequence, and a few snapshots, since a state cannot be truncated. */
export class States implements Keeper {
  /** Tokens of which each sequence's state is; undefined while a part is computed, and where that did not end. */
  private readonly positions: (number | undefined)[];
  /** Of each sequence, by position. */
  private readonly snapshots: Snapshot[][];

  constructor(
    private readonly device: Device,
    private readonly states: readonly State[],
    private readonly sequences: number,
  ) {
    this.positions = Array<undefined>(sequences).fill(undefined);
    this.snapshots = Array.from({ length: sequences }, () => []);
  }

  resumable(slot: number, most: number): number {
    const position = this.positions[slot];
    if (position !== undefined && position <= most) return position;
    return this.snapshotBefore(slot, most)?.position ?? 0;
  }

  begin(slot: number, position: number): void {
    const kept = this.snapshots[slot]!;
    while (kept.length > 0 && kept.at(-1)!.position > position) kept.pop();
    if (position === 0) this.clear(slot);
    else if (this.positions[slot] !== position) this.copyColumn(this.columnOf(slot, position), slot);
    this.positions[slot] = undefined;
  }

  computed(slot: number, length: number): void {
    this.positions[slot] = length;
  }

  /** What prompts share is before all else, so that the first snapshot is the last to go. */
  mark(slot: number): void {
    const kept = this.snapshots[slot]!;
    const position = this.positions[slot]!;
    if (kept.some((snapshot) => snapshot.position === position)) return;
    const { column } = kept.length < SNAPSHOTS ? { column: this.freeColumn(slot) } : kept.splice(1, 1)[0]!;
    this.copyColumn(slot, column);
    kept.push({ position, column });
  }

  copy(from: number, to: number, position: number): void {
    this.forget(to);
    if (position === 0) return;
    this.copyColumn(this.columnOf(from, position), to);
    this.positions[to] = position;
  }

  forget(slot: number): void {
    this.positions[slot] = undefined;
    this.snapshots[slot] = [];
  }

  private snapshotBefore(slot: number, most: number): Snapshot | undefined {
    return this.snapshots[slot]!.findLast(({ position }) => position <= most);
  }

  /** Where a state of exactly that many tokens lies. */
  private columnOf(slot: number, position: number): number {
    return this.positions[slot] === position ? slot : this.snapshotBefore(slot, position)!.column;
  }

  private freeColumn(slot: number): number {
    const first = this.sequences + slot * SNAPSHOTS;
    const taken = this.snapshots[slot]!.map(({ column }) => column);
    return Array.from({ length: SNAPSHOTS }, (_, i) => first + i).find((column) => !taken.includes(column))!;
  }

  private copyColumn(from: number, to: number): void {
    this.device.once(4 * this.states.length, (g) => {
      for (const { tensor } of this.states) g.compute(g.copy(g.rows(tensor, from, 1), g.rows(tensor, to, 1)));
    });
  }

  private clear(slot: number): void {
    for (const { tensor } of this.states) {
      const bytes = tensor.strides[1];
      api().tensorMemset(tensor.pointer, 0, slot * bytes, bytes);
    }
  }
}
