import { FiddlerError } from '../errors.js';
import type { Declarations, HostIntegers, TokenRows } from '../models/parameters.js';
import { blockElements } from '../native/ggml/tensor.js';
import { view } from '../native/os/memory.js';
import type { FoundTable, TablePiece } from '../network/table-rows.js';
import type { Checkpoint, StoredTensor } from '../weights/checkpoint.js';
import { readScales } from '../weights/conversions/fp8.js';
import { checkShape, typeInPlace } from '../weights/source.js';

/** Finds every table in the checkpoint. @throws FiddlerError `file` or `unsupported`: missing, or of another width or type */
export function findTables(checkpoint: Checkpoint, tables: readonly TokenRows[]): FoundTable[] {
  return tables.map((table) => {
    const pieces: TablePiece[] = [];
    let [from, bytes] = [0, 0];
    for (const name of table.names) {
      const stored = checkpoint.get(name);
      const rows = stored.shape[0] ?? 0;
      checkShape(stored, [rows, table.width]);
      const type = stored.dtype === 'F8_E4M3' ? stored.dtype : typeInPlace(stored);
      if (type !== 'F8_E4M3' && table.width % blockElements(type) !== 0) {
        const problem = `tensor ${name} in ${stored.file} has rows of ${table.width} numbers in blocks of ${blockElements(type)}`;
        throw new FiddlerError('unsupported', problem, 'use a checkpoint that stores it in shorter blocks');
      }
      pieces.push({ address: stored.address, type, from, rows });
      from += rows;
      bytes += stored.bytes;
    }
    return { table, pieces, rows: from, bytes, scale: scaleOf(checkpoint, table) };
  });
}

/** What multiplies a table in FP8; undefined where nothing does. @throws FiddlerError `file`: it is more than a number, or of another type */
function scaleOf(checkpoint: Checkpoint, { scale }: TokenRows): StoredTensor | undefined {
  const stored = checkpoint.tensors.get(scale);
  if (!stored) return undefined;
  checkShape(stored, []);
  if (stored.dtype === 'F32' || stored.dtype === 'BF16') return stored;
  const problem = `${stored.file}: tensor ${scale} is ${stored.dtype} instead of F32 or BF16`;
  throw new FiddlerError('file', problem, 'download the model again');
}

/** Whole numbers of each type as copies. */
const INTEGERS = {
  I32: (bytes: ArrayBuffer) => BigInt64Array.from(new Int32Array(bytes), BigInt),
  I64: (bytes: ArrayBuffer) => new BigInt64Array(bytes).slice(),
};

/** @throws FiddlerError `file` or `unsupported`: missing, or of another number or type */
export function checkIntegers(checkpoint: Checkpoint, all: readonly HostIntegers[]): void {
  for (const { name, shape } of all) {
    const stored = checkpoint.get(name);
    checkShape(stored, shape);
    if (stored.dtype in INTEGERS) continue;
    const problem = `tensor ${name} in ${stored.file} has type ${stored.dtype}`;
    throw new FiddlerError('unsupported', problem, 'use a checkpoint that stores it as I32 or I64');
  }
}

/** Reads integers, and has tables choose by them. @throws FiddlerError `file`: they lead beyond a table's rows, or what they count */
export function readTables(
  checkpoint: Checkpoint,
  { integers }: Pick<Declarations, 'integers'>,
  tables: readonly FoundTable[],
): void {
  for (const each of integers) {
    const { address, bytes, dtype } = checkpoint.get(each.name);
    each.values = INTEGERS[dtype as keyof typeof INTEGERS](view(address, bytes));
    checkBelow(each);
  }
  for (const found of tables) {
    found.table.choose = found.table.prepare(found.rows);
    if (!found.scale) continue;
    const { address: scales, dtype } = found.scale;
    [found.factor] = readScales({ scales, scaleType: dtype as 'F32' | 'BF16' }, 1);
  }
}

function checkBelow({ name, values, below }: HostIntegers): void {
  if (below === undefined) return;
  const wrong = values.find((value) => value < 0n || value >= BigInt(below));
  if (wrong === undefined) return;
  const problem = `tensor ${name} holds ${wrong}, which is not among the ${below} that it numbers`;
  throw new FiddlerError('file', problem, 'download every file of the model again');
}
