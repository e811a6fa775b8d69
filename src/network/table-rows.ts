import { type Device, type HostMemory, HostTensors } from '../devices/device.js';
import type { TokenRows } from '../models/parameters.js';
import { dequantize } from '../native/ggml/dequantize.js';
import { rowBytes, type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import { memmove } from '../native/os/memory.js';
import type { Batch } from './batch.js';

/** One of the tensors of which a table consists. */
export interface TablePiece {
  address: bigint;
  type: Type;
  /** Its first row in the table, and its rows. */
  from: number;
  rows: number;
}

/** A table and where its rows lie. */
export interface FoundTable {
  table: TokenRows;
  pieces: readonly TablePiece[];
  rows: number;
  bytes: number;
}

/** Brings what the tokens of a call choose of tables to the device, row by row from the mapped files. */
export class TableRows {
  /** Tokens before a call's by which rows are chosen. */
  readonly before: number;
  private readonly memory: HostTensors;
  private readonly host: Tensor[];

  constructor(
    private readonly device: Device,
    private readonly tables: readonly FoundTable[],
    calls: number,
    hostMemory: HostMemory,
  ) {
    this.before = Math.max(0, ...tables.map(({ table }) => table.before));
    this.memory = new HostTensors(Math.max(1, tables.length));
    const sizes = tables.map(({ table }) => [Type.F32, table.width * table.count, calls] as const);
    this.host = sizes.map((size) => this.memory.tensor(...size));
    if (tables.length === 0) return;
    this.memory.allocate(hostMemory);
    const context = new TensorContext(tables.length);
    for (const [i, { table }] of tables.entries()) {
      table.tensor = device.unified ? this.host[i]! : context.tensor(...sizes[i]!);
    }
    if (!device.unified) device.allocate(context, 'rows of tables');
  }

  /** Gathers the rows of all tokens of a call. */
  gather(batch: Batch): void {
    for (const [i, found] of this.tables.entries()) {
      const { table } = found;
      const numbers = new Int32Array(table.count);
      let target = this.host[i]!.address;
      for (const { tokens, before = [] } of batch) {
        const all = [...before, ...tokens];
        for (let end = before.length + 1; end <= all.length; end++) {
          table.choose(all.slice(Math.max(0, end - 1 - table.before), end), numbers);
          for (const number of numbers) {
            copyRow(found, number, target);
            target += BigInt(table.width * 4);
          }
        }
      }
      if (this.device.unified) continue;
      this.device.compute.write(table.tensor, this.host[i]!.address, 0, Number(target - this.host[i]!.address));
    }
  }
}

/** Writes a row as float32. */
function copyRow({ table, pieces }: FoundTable, number: number, target: bigint): void {
  const piece = pieces.findLast(({ from }) => from <= number)!;
  const row = piece.address + BigInt((number - piece.from) * rowBytes(piece.type, table.width));
  if (piece.type === Type.F32) memmove(target, row, table.width * 4);
  else dequantize(piece.type, row, target, table.width);
}
