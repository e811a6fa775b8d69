import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One text with what the reference computes for it. */
export interface GoldenCase {
  tokens: number[];
  /** What an encoder reads first. */
  source?: number[];
  /** The tokens that greedy decoding continues with: a text, or the source. */
  continuation: number[];
  /** float32 [positions, vocabulary] of the reference. */
  logits: Float32Array;
}

export interface GoldenModel {
  name: string;
  /** Folder of the model itself. */
  dir: string;
  /** Standard deviation of the expected logits. */
  deviation: number;
  cases: GoldenCase[];
}

interface Expected {
  input_ids: number[];
  /** Of an encoder-decoder, whose greedy tokens begin with the start token. */
  decoder_input_ids?: number[];
  greedy_continuation: number[];
  cases?: { input_ids: number[]; greedy: number[] }[];
}

/** Names of the models under `folder` that have expected values. */
export function goldenNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'expected.json')))
    .sort();
}

/** Reads a model's expected values; `models` is where models without weights of their own lie. */
export function readGolden(folder: string, models: string, name: string): GoldenModel {
  const at = join(folder, name);
  const expected: Expected = JSON.parse(readFileSync(join(at, 'expected.json'), 'utf8'));
  const logits = readFloats(join(at, 'expected.safetensors'));
  const cases = expected.cases
    ? expected.cases.map((c, i) => ({
        tokens: c.input_ids,
        continuation: c.greedy,
        logits: logits.get(`logits.${i}`)!,
      }))
    : [{ ...onlyCase(expected), logits: logits.get('logits')! }];
  const dir = existsSync(join(at, 'config.json')) ? at : join(models, name);
  return { name, dir, deviation: standardDeviation(cases.map((c) => c.logits)), cases };
}

function onlyCase({ input_ids, decoder_input_ids, greedy_continuation }: Expected): Omit<GoldenCase, 'logits'> {
  return decoder_input_ids
    ? { source: input_ids, tokens: decoder_input_ids, continuation: greedy_continuation.slice(1) }
    : { tokens: input_ids, continuation: greedy_continuation };
}

/** The float32 tensors of a safetensors file. */
function readFloats(file: string): Map<string, Float32Array> {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { data_offsets: [number, number] }> = JSON.parse(bytes.toString('utf8', 8, 8 + length));
  const tensors = new Map<string, Float32Array>();
  for (const [name, { data_offsets }] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [from, to] = data_offsets.map((o) => o + 8 + length) as [number, number];
    tensors.set(name, new Float32Array(new Uint8Array(bytes.subarray(from, to)).buffer));
  }
  return tensors;
}

function standardDeviation(parts: readonly Float32Array[]): number {
  let [count, sum, squares] = [0, 0, 0];
  for (const part of parts) {
    count += part.length;
    for (const x of part) {
      sum += x;
      squares += x * x;
    }
  }
  return Math.sqrt(squares / count - (sum / count) ** 2);
}
