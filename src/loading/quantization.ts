import { FiddlerError } from '../errors.js';
import { mapMatrices, matrixEntries } from '../experts/activations.js';
import { matrixShape } from '../experts/spec.js';
import { blockElements, rowBytes, Type, typeName } from '../native/ggml/tensor.js';
import type { LoadOptions } from '../options.js';
import type { DType } from '../weights/checkpoint.js';
import { dividing } from '../weights/dividing.js';
import type { Blueprint } from './blueprint.js';
import { type FoundParameter, heldSizes } from './parameters.js';

/** What a load quantizes, and to what. */
export interface Quantization {
  type: DType;
  /** Not only experts: all matrices but routers and embeddings. */
  all: boolean;
}

/** What was asked for. @throws FiddlerError `usage`: with float32, or nothing is quantized that could be kept */
export function quantizationOf({
  quantize,
  keep,
  dtype,
}: Pick<LoadOptions, 'quantize' | 'keep' | 'dtype'>): Quantization | undefined {
  if (quantize === undefined) {
    if (!keep) return undefined;
    throw new FiddlerError('usage', 'without --quantize there is nothing to keep', 'give a type, or leave out --keep');
  }
  if (dtype === 'f32') {
    const problem = '--dtype f32 computes everything in float32, so that nothing is quantized';
    throw new FiddlerError('usage', problem, 'leave out --dtype or --quantize');
  }
  const [type, what] = quantize.split(':');
  return { type: type!.toUpperCase() as DType, all: what === 'all' };
}

/**
 * The blueprint with blocks of the wanted type in place of plain numbers. What is in blocks already stays, and so do rows
 * that no block divides.
 * @throws FiddlerError `usage`: nothing that is to be quantized holds plain numbers
 */
export function quantizeBlueprint(blueprint: Blueprint, { type, all }: Quantization): Blueprint {
  const { expertLayers, expertTypes, parameters, embedding } = blueprint;
  const quantized = expertLayers.map((spec, l) =>
    mapMatrices(expertTypes[l]!, (stored, name) => blocksFor(type, stored, matrixShape(spec, name)[1])),
  );
  const parameter = (found: FoundParameter): FoundParameter => {
    const { source, parameter } = found;
    const [columns, rows] = heldSizes(parameter);
    const isEmbedding = source.reads.some(({ address }) => address === embedding.address);
    if (!all || parameter.precision !== 'matrix' || rows === 1 || isEmbedding) return found;
    const held = blocksFor(type, found.type, columns);
    return { ...found, type: held, bytes: rowBytes(held, source.elements) };
  };
  const others = parameters.map(parameter);
  if (sameTypes(quantized, expertTypes) && others.every(({ type }, i) => type === parameters[i]!.type)) {
    const problem = `there is nothing to quantize to ${type}: the experts are ${listed(expertTypes)}`;
    throw new FiddlerError('usage', problem, 'leave out --quantize');
  }
  return { ...blueprint, expertTypes: quantized, parameters: others };
}

/** A line about rows that the blocks of the wanted type do not divide; undefined where there are none. */
export function undivided({ expertLayers, expertTypes }: Blueprint, { type }: Quantization): string | undefined {
  const others = new Map<string, Set<string>>();
  for (const [l, spec] of expertLayers.entries()) {
    for (const [name, held] of matrixEntries(expertTypes[l]!)) {
      const columns = matrixShape(spec, name)[1];
      if (columns % blockElements(Type[type]) === 0) continue;
      others.set(typeName(held), (others.get(typeName(held)) ?? new Set()).add(`${columns}`));
    }
  }
  if (others.size === 0) return undefined;
  const parts = [...others].map(([held, columns]) => `rows of ${[...columns].join(' and ')} numbers are ${held}`);
  return `${type} has blocks of ${blockElements(Type[type])}: ${parts.join(', ')}`;
}

/** The type in which rows are held: blocks, where they hold plain numbers that blocks divide. */
function blocksFor(type: DType, stored: Type, columns: number): Type {
  const blocks = blockElements(stored) > 1 ? undefined : dividing(type, columns);
  return blocks === undefined ? stored : Type[blocks];
}

function sameTypes(a: Blueprint['expertTypes'], b: Blueprint['expertTypes']): boolean {
  return a.every((types, l) => matrixEntries(types).every(([name, type]) => type === b[l]![name]));
}

function listed(types: Blueprint['expertTypes']): string {
  return [...new Set(types.flatMap((of) => Object.values(of).map(typeName)))].join(', ');
}
