import { type Device, floats, type HostMemory, HostTensors } from '../devices/device.js';
import type { TokenRows } from '../models/parameters.js';
import { dequantize } from '../native/ggml/dequantize.js';
import { rowBytes, type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import { memmove } from '../native/os/memory.js';
import type { StoredTensor } from '../weights/checkpoint.js';
import { E4M3 } from '../weights/conversions/fp8.js';
import type { Batch } from './batch.js';

/** One of the tensors of which a table consists. */
export interface TablePiece {
  address: bigint;
  type: Type | 'F8_E4M3';
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
  /** The tensor with the number that multiplies all, and that number once the model is loaded. */
  scale?: StoredTensor;
  factor?: number;
}

/** Brings what the tokens of a call choose of tables to the device, row by row from the mapped files. */
export class TableRows {
  /** Tokens before a call's by which rows are chosen. */
  readonly before: number;
  private readonly memory: HostTensors;
  private readonly host: Tensor[];
  private numbers?: Float32Array[];

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
    this.numbers ??= this.host.map(floats);
    for (const [i, found] of this.tables.entries()) {
      const { table } = found;
      const numbers = new Int32Array(table.count);
      const host = this.numbers[i]!;
      let at = 0;
      for (const { tokens, before = [] } of batch) {
        const all = [...before, ...tokens];
        for (let end = before.length + 1; end <= all.length; end++) {
          table.choose(all.slice(Math.max(0, end - 1 - table.before), end), numbers);
          for (const number of numbers) {
            copyRow(found, number, host, this.host[i]!.address, at);
            at += table.width;
          }
        }
      }
      if (this.device.unified) continue;
      this.device.compute.write(table.tensor, this.host[i]!.address, 0, 4 * at);
    }
  }
}

/** Writes a row as float32 to `host`, which lies at `address`, from number `at` on. */
function copyRow(
  { table, pieces, factor = 1 }: FoundTable,
  number: number,
  host: Float32Array,
  address: bigint,
  at: number,
): void {
  const { width } = table;
  const piece = pieces.findLast(({ from }) => from <= number)!;
  const index = number - piece.from;
  const target = address + BigInt(4 * at);
  if (piece.type === 'F8_E4M3') {
    const bytes = new Uint8Array(host.buffer, host.byteOffset + 4 * at + 3 * width, width); // each is read before it is overwritten
    memmove(target + BigInt(3 * width), piece.address + BigInt(index * width), width);
    for (let i = 0; i < width; i++) host[at + i] = E4M3[bytes[i]!]! * factor;
    return;
  }
  const row = piece.address + BigInt(index * rowBytes(piece.type, width));
  if (piece.type === Type.F32) memmove(target, row, 4 * width);
  else dequantize(piece.type, row, target, width);
}
