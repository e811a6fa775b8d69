import { FiddlerError } from '../../errors.js';

/** One of the models that a folder or repository holds as GGUF: the same weights in another type, as a rule. */
export interface Variant {
  /** What its type is called, as `Q4_K_M` or `UD-Q4_K_XL`; undefined where its name tells none. */
  readonly label?: string;
  /** Path without the number of a shard and `.gguf`. */
  readonly name: string;
  /** Its files, in order. */
  readonly files: readonly string[];
  /** The number of a file that is not there. */
  readonly missing?: number;
}

const FILE = /^(.*?)(?:-(\d{5})-of-(\d{5}))?\.gguf$/i;

/** Beside models: projectors of images, and what quantizing was measured with. */
const NO_MODEL = /(?:^|\/)(?:mmproj|[^/]*imatrix)[^/]*$/i;

/** Types as llama.cpp and those who publish files write them at the end of a name or as a folder's. */
const LABEL = /(?:^|[-._])((?:UD-)?(?:I?Q\d|TQ\d|B?F16|FP16|F32|FP32|MXFP4|NVFP4)(?:_[A-Za-z0-9]+)*)$/i;

/** The models among files. */
export function variantsOf(files: Iterable<string>): Variant[] {
  const models = new Map<string, Map<number, string>>();
  const counts = new Map<string, number>();
  for (const file of files) {
    const [, name, number = '1', count = '1'] = FILE.exec(file) ?? [];
    if (name === undefined || NO_MODEL.test(file)) continue;
    if (Number(number) < 1 || Number(number) > Number(count)) continue; // a part of none
    const key = `${name}/${count}`; // the same name in one file and in shards is two models
    models.set(key, (models.get(key) ?? new Map()).set(Number(number), file));
    counts.set(key, Number(count));
  }
  return [...models]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, shards]) => variant(key, shards, counts.get(key)!));
}

function variant(key: string, shards: ReadonlyMap<number, string>, count: number): Variant {
  const name = key.slice(0, key.lastIndexOf('/'));
  const files = Array.from({ length: count }, (_, i) => shards.get(i + 1));
  const missing = files.indexOf(undefined) + 1;
  const [folder, base] = [name.split('/').at(-2) ?? '', name.split('/').at(-1)!];
  const label = LABEL.exec(base)?.[1] ?? LABEL.exec(folder)?.[1];
  const there = files.filter((file) => file !== undefined);
  return { name, files: there, ...(label !== undefined && { label }), ...(missing > 0 && { missing }) };
}

/**
 * The model that is meant.
 * @param wanted its type, or its name or file; of one model alone none need be given
 * @throws FiddlerError `usage`: none is meant, or several are, with the choices; `file`: one of its files is missing
 */
export function chooseVariant(place: string, variants: readonly Variant[], wanted?: string): Variant {
  const meant = wanted === undefined ? variants : variantsNamed(variants, wanted);
  if (meant.length === 1) return whole(place, meant[0]!);
  const several = meant.length > 1;
  const problem = several
    ? `${place} holds ${meant.length} models${wanted === undefined ? '' : ` that are ${wanted}`}`
    : `${place} holds no ${wanted ?? 'model'}`;
  throw new FiddlerError('usage', problem, choices(several ? meant : variants));
}

/** The models of that name or file, or, where none is, of that type. */
export function variantsNamed(variants: readonly Variant[], wanted: string): readonly Variant[] {
  const same = (text: string | undefined) => text?.toLowerCase() === wanted.toLowerCase();
  const named = variants.filter(({ name, files }) => same(name) || same(files[0]));
  return named.length > 0 ? named : variants.filter(({ label }) => same(label));
}

function whole(place: string, variant: Variant): Variant {
  const { name, missing } = variant;
  if (missing === undefined) return variant;
  const problem = `${place} has not all files of ${name}: number ${missing} is missing`;
  throw new FiddlerError('file', problem, 'use another revision, or another model');
}

function choices(variants: readonly Variant[]): string {
  if (variants.length === 0) return 'use a repository with GGUF files';
  const unique = new Set(variants.map(({ label }) => label?.toLowerCase())).size === variants.length;
  const names = variants.map(({ label, name }) => (unique && label !== undefined ? label : name));
  return `give one of them behind a colon: ${names.join(', ')}`;
}
