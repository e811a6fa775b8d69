import { mapAnonymous, unmap, view } from '../../src/native/os/memory.js';
import { convertHere } from '../../src/weights/conversions/index.js';
import type { Source } from '../../src/weights/source.js';

/** The bytes that a source makes. */
export function makeBytes(
  source: Extract<Source, { make: unknown }>,
  bytes: number,
  convert = convertHere,
): ArrayBuffer {
  const memory = mapAnonymous('numbers', bytes);
  try {
    source.make(memory.address, convert);
    return view(memory.address, bytes).slice(0);
  } finally {
    unmap(memory);
  }
}
