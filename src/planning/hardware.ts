import { readFileSync } from 'node:fs';
import { GPU } from '../devices/accelerators.js';
import { FiddlerError } from '../errors.js';
import type { Sample } from '../experts/costs.js';
import { weightsOf } from '../experts/spec.js';
import { type Blueprint, expertTotals } from '../loading/blueprint.js';
import type { StandIn } from '../loading/machine.js';
import { layersOf } from '../models/model.js';
import { rowBytes } from '../native/ggml/tensor.js';
import type { ContextSample, Rates } from '../pace/rates.js';
import { HARDWARE } from './machines/index.js';
import { type Hardware, hardwareSchema } from './machines/machine.js';

/** The machine of that name, or that a JSON file describes. @throws FiddlerError `usage` or `file`, naming the key */
export function hardwareNamed(nameOrFile: string): Hardware {
  const known = HARDWARE[nameOrFile];
  if (known) return hardwareSchema.parse(known);
  let text: string;
  try {
    text = readFileSync(nameOrFile, 'utf8');
  } catch (error) {
    const names = Object.keys(HARDWARE).join(', ');
    const problem = `there is no machine and no file ${nameOrFile}`;
    throw new FiddlerError('usage', problem, `give a JSON file of rates, or one of: ${names}`, { cause: error });
  }
  return parseHardware(text, nameOrFile);
}

/** @param file for error messages */
export function parseHardware(text: string, file: string): Hardware {
  const remedy = 'see docs/hardware.md for what such a file holds';
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FiddlerError('file', `${file} is not JSON`, remedy, { cause: error });
  }
  const found = hardwareSchema.safeParse(json);
  if (found.success) return found.data;
  const problems = found.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`);
  throw new FiddlerError('file', `${file}: ${problems.join('; ')}`, remedy);
}

/** What was published for a model on this machine. */
export function publishedFor({ published }: Hardware, model: string): Hardware['published'] {
  return published.filter((each) => each.model === model);
}

export function standInFor({ name, gpu, cpu, ramGiB }: Hardware): StandIn {
  return { gpu: { name, memory: gpu.memoryGiB * 2 ** 30 }, cores: cpu.cores, ram: ramGiB * 2 ** 30 };
}

const TOKENS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
/** Computed with the same weights, so that arithmetic decides: two operations a weight and token. */
const OPERATIONS = 2;

/**
 * What a model's pieces take on a machine, by its rates: reading weights or computing with them, whichever is longer.
 * @param sequential its lanes work one after another
 */
export function ratesOn(hardware: Hardware, blueprint: Blueprint, sequential = false): Rates {
  const { gpu, cpu, link, together, layerUs } = hardware;
  const bytes = expertTotals(blueprint).bytes;
  const weights = expertWeights(blueprint);
  const roofline = (of: { bandwidth: number; arithmetic: number }, tokens: number) =>
    Math.max(bytes / of.bandwidth / 1e6, (tokens * weights * OPERATIONS) / of.arithmetic / 1e9);
  const byRates = (of: typeof gpu | typeof cpu) => TOKENS.map((tokens) => ({ tokens, ms: roofline(of, tokens) }));
  const measured = measuredExpert(hardware, bytes, weights);
  return {
    experts: {
      calls: { resident: 0, streamed: 0, cpu: 0 },
      cpu: measured?.cpu ?? byRates(cpu),
      accelerator: measured?.gpu ?? byRates(gpu),
      copy: measured?.copy ?? bytes / link / 1e6,
      overlap: !sequential,
      contention: together,
      spread: 0.1,
    },
    ...layerRates(gpu, layerUs, blueprint),
    fill: 1000 / link,
  };
}

/** Weights of the largest expert. */
function expertWeights({ expertLayers }: Blueprint): number {
  return Math.max(...expertLayers.map(weightsOf));
}

/** Times of a measured expert, for one of other size in proportion; beyond the last of the GPU's, arithmetic decides. */
function measuredExpert({ measured, gpu, cpu }: Hardware, bytes: number, weights: number) {
  if (!measured) return undefined;
  const share = bytes / measured.expertBytes;
  const scaled = (times: readonly (readonly [number, number])[], peak: number): Sample[] => {
    const samples = times.map(([tokens, ms]) => ({ tokens, ms: ms * share })).sort((a, b) => a.tokens - b.tokens);
    const last = samples.at(-1)!;
    const perToken = (weights * OPERATIONS) / peak / 1e9;
    const beyond = TOKENS.filter((n) => n > last.tokens);
    return [...samples, ...beyond.map((n) => ({ tokens: n, ms: last.ms + (n - last.tokens) * perToken }))];
  };
  return {
    cpu: smoothed(scaled(measured.cpu, cpu.arithmetic)),
    gpu: scaled(measured.gpu, gpu.arithmetic),
    copy: measured.copy * share,
  };
}

/** Samples that never fall: of neighbours that do, the mean (pool adjacent violators). */
function smoothed(samples: readonly Sample[]): Sample[] {
  const pools: { ms: number; count: number }[] = [];
  for (const { ms } of samples) {
    pools.push({ ms, count: 1 });
    while (pools.length > 1 && pools.at(-2)!.ms > pools.at(-1)!.ms) {
      const b = pools.pop()!;
      const a = pools.pop()!;
      pools.push({ ms: (a.ms * a.count + b.ms * b.count) / (a.count + b.count), count: a.count + b.count });
    }
  }
  const ms = pools.flatMap((pool) => Array<number>(pool.count).fill(pool.ms));
  return samples.map(({ tokens }, i) => ({ tokens, ms: ms[i]! }));
}

/** Everything but routed experts, which the GPU computes: weights are read once a call, the KV cache once a token. */
function layerRates(
  gpu: Hardware['gpu'],
  layerUs: number,
  { parameters, declarations, spec, expertLayers, upcast }: Blueprint,
): Pick<Rates, 'sparse' | 'dense' | 'begin' | 'between' | 'first' | 'head' | 'heads'> {
  const layers = layersOf(spec).length;
  const headBytes = spec.vocabulary * spec.hidden * 2;
  const all = parameters.reduce((sum, p) => sum + p.bytes, 0);
  const bytes = Math.max(0, all - headBytes) / layers;
  /** Of a layer in the mean; one with a window reads no more than that behind the call's tokens. */
  const cacheBytes = (tokens: number, past: number) =>
    declarations.caches.reduce((sum, cache) => {
      const { width, window } = cache;
      const rows = cache.rowsFor(tokens + (window > 0 ? Math.min(past, window) : past));
      return sum + rowBytes(upcast ?? GPU.cacheType, width) * rows;
    }, 0) / layers;
  const ms = (tokens: number, past: number) => {
    const read = (bytes + cacheBytes(tokens, past)) / gpu.bandwidth / 1e6;
    const pairs = tokens * (past + tokens / 2);
    const operations = OPERATIONS * (tokens * (bytes / 2) + 2 * pairs * spec.hidden);
    return layerUs / 1000 + Math.max(read, operations / gpu.arithmetic / 1e9);
  };
  const head = (rows: number) =>
    Math.max(headBytes / gpu.bandwidth, (OPERATIONS * rows * (headBytes / 2)) / gpu.arithmetic / 1e3) / 1e6;
  const samples: ContextSample[] = [0, 32_768].flatMap((past) =>
    TOKENS.map((tokens) => ({ tokens, past, ms: ms(tokens, past) })),
  );
  return {
    sparse: expertLayers.length > 0 ? samples : [],
    dense: expertLayers.length < layers ? samples : [],
    begin: [{ tokens: 1, past: 0, ms: 0 }],
    between: [],
    first: 0,
    head: head(1),
    heads: TOKENS.slice(1).map((tokens) => ({ tokens, ms: head(tokens) })),
  };
}
