import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cacheFolder } from '../devices/cache.js';
import { mapMatrices, matrixEntries } from '../experts/activations.js';
import { type ExpertsSpec, matrixShape } from '../experts/spec.js';
import { findExpert, matricesIn } from '../experts/stored.js';
import { Type, typeName } from '../native/ggml/tensor.js';
import type { Checkpoint, DType } from '../weights/checkpoint.js';
import { openGguf } from '../weights/gguf/gguf.js';
import { type GgufEntry, ggufHeader } from '../weights/gguf/writer.js';
import { JoinedCheckpoint } from '../weights/joined.js';
import { findSource, type StoredSource } from '../weights/source.js';
import type { Blueprint } from './blueprint.js';
import type { ModelSource } from './model-source.js';
import { type FoundParameter, heldSizes } from './parameters.js';

/** Raised when files are made otherwise than before, so that old ones are not taken. */
const REVISION = 1;
/** Metadata of such a file: what it was made of. */
const KEY = 'fiddler.key';

/** A matrix, or those of all experts of a layer, as one tensor of the file. */
export interface KeptPart {
  entry: GgufEntry;
  /** What it is made of, in order. */
  sources: () => Iterable<StoredSource>;
}

/** Weights, and a blueprint in which some of them are quantized. */
interface Quantized {
  checkpoint: Checkpoint;
  blueprint: Blueprint;
}

/** What of a model is quantized: what a file under the cache folder holds of it. */
export function keptParts({ checkpoint, blueprint }: Quantized): KeptPart[] {
  const { expertLayers, expertTypes, parameters } = blueprint;
  const experts = expertLayers.flatMap((spec, l) =>
    matrixEntries(expertTypes[l]!).flatMap(([name, type]): KeptPart[] => {
      if (findExpert(checkpoint, spec, 0)[name]!.type === type) return [];
      const shape = [spec.count, ...matrixShape(spec, name)];
      const sources = () => Array.from({ length: spec.count }, (_, e) => findExpert(checkpoint, spec, e)[name]!);
      return [{ entry: { name: expertName(l, name), dtype: typeName(type) as DType, shape }, sources }];
    }),
  );
  const others = parameters.flatMap((found): KeptPart[] => {
    if (!isQuantized(found)) return [];
    const { parameter, type, source } = found;
    const shape = [...heldSizes(parameter)].reverse();
    return [{ entry: { name: parameterName(found), dtype: typeName(type) as DType, shape }, sources: () => [source] }];
  });
  return [...experts, ...others];
}

/** The file that holds these parts, and what it must say that it was made of; undefined where the model lies in no files. */
export function keptFile(
  { name, config }: ModelSource,
  { checkpoint }: Pick<Quantized, 'checkpoint'>,
  parts: readonly KeptPart[],
): { file: string; key: string } | undefined {
  const files = [...new Set([...checkpoint.tensors.values()].map(({ file }) => file))].sort();
  const stats = files.map((file) => statSync(file, { throwIfNoEntry: false }));
  if (stats.some((stat) => !stat)) return undefined;
  const told = files.map((file, i) => [basename(file), stats[i]!.size, stats[i]!.mtimeMs]);
  const tensors = [...checkpoint.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]);
  const described = JSON.stringify([REVISION, config, told, tensors, parts.map(({ entry }) => entry)]);
  const key = createHash('sha256').update(described).digest('hex');
  const types = [...new Set(parts.map(({ entry }) => entry.dtype))].join('-').toLowerCase();
  const label = `${basename(name)
    .replaceAll(/[^\w.-]/g, '_')
    .slice(0, 80)}-${types}-${key.slice(0, 16)}`;
  return { file: join(keptFolder(), `${label}.gguf`), key };
}

/** Bytes of the file of what is quantized, there or not. */
export function keptBytes({ checkpoint, blueprint }: Quantized): number {
  return blueprint.kept ?? keptHeader('0'.repeat(64), keptParts({ checkpoint, blueprint })).bytes;
}

/** The folder of such files. */
export function keptFolder(): string {
  return join(cacheFolder(), 'quantized');
}

/** The same with what was quantized where it lies in the kept file; as it was given where there is none of use. */
export function withKept(source: ModelSource, opened: Quantized): Quantized {
  const parts = keptParts(opened);
  const found = keptFile(source, opened, parts);
  const there = found && openKept(found, parts);
  if (!there) return opened;
  const { kept, bytes } = there;
  const { checkpoint: stored, blueprint } = opened;
  const checkpoint = new JoinedCheckpoint(stored, kept);
  const expertLayers = blueprint.expertLayers.map((spec, l) => inKept(spec, l, opened.checkpoint, kept));
  const parameters = blueprint.parameters.map((of) => {
    if (!isQuantized(of)) return of;
    const shape = [...heldSizes(of.parameter)].reverse();
    return { ...of, source: findSource(checkpoint, parameterName(of), shape) };
  });
  return {
    checkpoint,
    blueprint: { ...blueprint, expertLayers, parameters, kept: bytes },
  };
}

/** How the file begins, where its tensors lie, and its size. */
export function keptHeader(key: string, parts: readonly KeptPart[]): ReturnType<typeof ggufHeader> {
  return ggufHeader(
    { [KEY]: key },
    parts.map(({ entry }) => entry),
  );
}

/** What is damaged, or was made of something else, counts as missing. */
function openKept({ file, key }: { file: string; key: string }, parts: readonly KeptPart[]) {
  const { head, bytes } = keptHeader(key, parts);
  if (statSync(file, { throwIfNoEntry: false })?.size !== bytes) return undefined;
  const descriptor = openSync(file, 'r');
  try {
    const there = Buffer.alloc(head.length);
    readSync(descriptor, there, 0, head.length, 0);
    return there.equals(head) ? { kept: openGguf(file).checkpoint, bytes } : undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** A layer's experts with the matrices that the kept file has. */
function inKept(spec: ExpertsSpec, layer: number, stored: Checkpoint, kept: Checkpoint): ExpertsSpec {
  const elsewhere = matricesIn(stored, spec);
  const matrices: ExpertsSpec['matrices'] = (e) =>
    mapMatrices(elsewhere(e), (matrix, name) => {
      const tensor = expertName(layer, name);
      return kept.tensors.has(tensor) ? { name: tensor, index: e } : matrix;
    });
  return { ...spec, matrices, alternatives: undefined };
}

function isQuantized({ type, source }: FoundParameter): boolean {
  return type !== source.type && type !== Type.F32;
}

const expertName = (layer: number, matrix: string) => `fiddler.experts.${layer}.${matrix}`;

/** Parts of one stored matrix are several parameters. */
function parameterName({ parameter: { name, groups } }: FoundParameter): string {
  if (!groups) return `fiddler.${name}`;
  const { count, from, rows, transposed, together } = groups;
  return `fiddler.${name}.${[count, from, rows, Number(transposed), Number(together ?? false)].join('-')}`;
}
