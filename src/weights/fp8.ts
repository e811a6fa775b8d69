import { FiddlerError } from '../errors.js';
import type { Checkpoint, Region, ScaleBlock, StoredTensor } from './checkpoint.js';
import type { Fp8Matrix } from './conversions/fp8.js';
import type { Conversion } from './conversions/index.js';

/**
 * How an FP8 matrix with its scales, `${name}_scale_inv` or `.scale` in place of `.weight`, becomes bf16: of a tensor of
 * several the one at `index`.
 * @throws FiddlerError `file` or `unsupported`
 */
export function fp8Matrix(
  checkpoint: Checkpoint,
  matrix: StoredTensor,
  index = 0,
): { conversion: Conversion; reads: Region[] } {
  const block = checkBlock(checkpoint, matrix);
  const [rows, columns] = matrix.shape.slice(-2) as [number, number];
  const { scales, type } = findScales(checkpoint, matrix, block);
  const count = matrix.shape.length === 3 ? matrix.shape[0]! : 1;
  const [numbers, factors] = [matrix, scales].map(({ address, bytes }) => {
    return { address: address + BigInt((index * bytes) / count), bytes: bytes / count };
  }) as [Region, Region];
  return {
    conversion: {
      kind: 'fp8',
      rows,
      rowBytes: columns * 2,
      band: block[0],
      columns,
      from: numbers.address,
      scales: factors.address,
      scaleType: type,
      block,
    },
    reads: [numbers, factors],
  };
}

/** What DeepSeek-V4 calls the scales of a matrix. */
export function scaleBeside(name: string): string {
  return name.replace(/\.weight$/, '.scale');
}

function checkBlock({ scaleBlock }: Checkpoint, { name, file, shape }: StoredTensor): ScaleBlock {
  if (scaleBlock && (shape.length === 2 || shape.length === 3)) return scaleBlock;
  const problem = scaleBlock ? `${shape.length} dimensions` : 'type F8_E4M3, but config.json names no fp8 blocks';
  throw new FiddlerError('unsupported', `tensor ${name} in ${file} has ${problem}`, 'use the model in bf16');
}

/** One number for each block of a matrix. */
function findScales(
  checkpoint: Checkpoint,
  { name, shape }: StoredTensor,
  block: ScaleBlock,
): { scales: StoredTensor; type: Fp8Matrix['scaleType'] } {
  const beside = scaleBeside(name);
  const scales = checkpoint.get(beside !== name && checkpoint.tensors.has(beside) ? beside : `${name}_scale_inv`);
  const { dtype } = scales;
  const before = shape.length - 2;
  const expected = shape.map((n, i) => (i < before ? n : Math.ceil(n / block[i - before]!)));
  const known = dtype === 'F32' || dtype === 'BF16' || dtype === 'F8_E8M0';
  if (known && scales.shape.join() === expected.join()) return { scales, type: dtype };
  const problem = `is ${dtype} [${scales.shape}] instead of F32, BF16 or F8_E8M0 [${expected}]`;
  throw new FiddlerError('file', `${scales.file}: tensor ${scales.name} ${problem}`, 'download the model again');
}
