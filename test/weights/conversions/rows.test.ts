import fc from 'fast-check';
import { expect, it } from 'vitest';
import { mapAnonymous, unmap, view } from '../../../src/native/os/memory.js';
import { type Conversion, convertHere, convertRows } from '../../../src/weights/conversions/index.js';

const size = fc.integer({ min: 1, max: 20 });
const scaleType = fc.constantFrom('F32' as const, 'BF16' as const);

/** A conversion of each kind, reading from `from` on, where there are numbers of all kinds. */
const conversions: fc.Arbitrary<(from: bigint) => Conversion> = fc.oneof(
  fc.record({ rows: size, columns: size, high: size, wide: size, scaleType }).map((r) => {
    const { rows, columns, high, wide, scaleType } = r;
    const shape = { rows, rowBytes: columns * 2, band: high, columns, block: [high, wide] } as const;
    return (from: bigint) => ({
      kind: 'fp8' as const,
      ...shape,
      from,
      scales: from + 1000n,
      scaleType,
    });
  }),
  fc.record({ rows: size, groups: size, first: size, step: size }).map(({ rows, groups, first, step }) => {
    const shape = { rows, rowBytes: groups * 17, band: 1, groups, first, step };
    return (from: bigint) => ({
      kind: 'mxfp4' as const,
      ...shape,
      blocks: from,
      scales: from + 1000n,
      scaleType,
    });
  }),
  fc.record({ heads: size, rows: size, columns: fc.integer({ min: 1, max: 70 }) }).map(({ heads, rows, columns }) => {
    const layout = { shape: [heads, rows, columns], offset: 7, strides: [rows * columns, 1, rows] } as const;
    const shape = { rows: heads * rows, rowBytes: columns * 4, band: 1, layout };
    const bytes = (heads * rows * columns + 7) * 4;
    return (from: bigint) => ({ kind: 'gather' as const, ...shape, from, bytes, width: 4 as const });
  }),
);

const shown = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);

it('rows are the same, whichever are made together', () => {
  const source = mapAnonymous('source', 1 << 20);
  new Uint8Array(view(source.address, source.bytes)).forEach((_, i, bytes) => {
    bytes[i] = (i * 2654435761) >>> 22;
  });
  fc.assert(
    fc.property(conversions, fc.bigInt(0n, 7n), fc.array(fc.nat(400)), (make, offset, cuts) => {
      const conversion = make(source.address + offset);
      const { rows, rowBytes } = conversion;
      const [whole, parts] = [mapAnonymous('whole', rows * rowBytes), mapAnonymous('parts', rows * rowBytes)];
      convertHere(conversion, whole.address);
      const ends = [...new Set([...cuts.map((cut) => cut % rows), rows])]
        .filter((end) => end > 0)
        .sort((a, b) => a - b);
      ends.forEach((end, i) => {
        convertRows(conversion, parts.address, ends[i - 1] ?? 0, end);
      });
      const bytesOf = ({ address, bytes }: typeof whole) => Buffer.from(view(address, bytes));
      expect(bytesOf(parts).equals(bytesOf(whole)), JSON.stringify(conversion, shown)).toBe(true);
      unmap(whole);
      unmap(parts);
    }),
    { numRuns: 300 },
  );
  unmap(source);
});
