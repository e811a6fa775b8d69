import { type MatrixName, matrixEntries } from './activations.js';
import { biasesAt, type PlacedExpert } from './expert.js';

/** A matrix of an expert, or its biases, in the host's memory. */
export interface SourcePart {
  name: MatrixName | 'biases';
  /** Exact: below 2^53. */
  address: number;
  bytes: number;
  /** A copy reaches from one part to another of the same piece only: what lies between may not be pinned, and then it fails. */
  piece: number;
}

/** What is copied of an expert. @param pieces of its matrices, in their order; −1 where they are not given */
export function sourceParts(source: PlacedExpert, pieces: readonly number[] = []): SourcePart[] {
  const parts: SourcePart[] = matrixEntries(source).map(([name, { tensor }], i) => {
    return { name, address: Number(tensor.address), bytes: tensor.bytes, piece: pieces[i] ?? -1 };
  });
  if (source.biases) {
    const { address, bytes } = biasesAt(source.biases);
    parts.push({ name: 'biases', address: Number(address), bytes, piece: 0 }); // a layer's are one tensor
  }
  return parts;
}
