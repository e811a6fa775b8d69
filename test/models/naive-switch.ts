import { relativeBucket } from '../../src/models/relative-position.js';
import { readTensors, upcast } from '../support/model.js';

type Matrix = readonly (readonly number[])[];

export interface NaiveSwitch {
  /** Logits after each of the decoder's tokens. */
  logits(source: readonly number[], tokens: readonly number[], capacity: number): number[][];
  /** Tokens that found no room with an expert, over all layers of that call. */
  dropped: number;
}

interface Sizes {
  num_heads: number;
  d_kv: number;
  d_model: number;
  num_layers: number;
  num_decoder_layers: number;
  layer_norm_epsilon: number;
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const times = (weight: Matrix, x: Matrix): number[][] => x.map((row) => weight.map((w) => dot(w, row)));
const plus = (a: Matrix, b: Matrix): number[][] => a.map((row, t) => row.map((v, i) => v + b[t]![i]!));

function softmax(scores: readonly number[]): number[] {
  const best = Math.max(...scores);
  const powers = scores.map((s) => Math.exp(s - best));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}

/** Switch Transformers of whole sequences in float64, one step after the other, without any cache. */
export function naiveSwitch(file: string, sizes: Sizes): NaiveSwitch {
  const weights = new Map(
    readTensors(file).map((tensor) => {
      const values = new Float32Array(upcast(tensor).data.buffer);
      const width = tensor.shape.at(-1)!;
      const rows = Array.from({ length: values.length / width }, (_, r) => [
        ...values.subarray(r * width, (r + 1) * width),
      ]);
      return [tensor.name, rows as Matrix];
    }),
  );
  const weight = (name: string) => weights.get(`${name}.weight`)!;
  const { num_heads: heads, d_kv: size, layer_norm_epsilon: epsilon } = sizes;

  const norm = (name: string, x: Matrix) =>
    x.map((row) => {
      const rms = Math.sqrt(dot(row, row) / row.length + epsilon);
      return row.map((v, i) => (v / rms) * weight(name)[0]![i]!);
    });

  const attention = (name: string, x: Matrix, seen: Matrix, score: (head: number, t: number, s: number) => number) => {
    const [q, k, v] = [
      times(weight(`${name}.q`), x),
      times(weight(`${name}.k`), seen),
      times(weight(`${name}.v`), seen),
    ];
    const part = (row: readonly number[], head: number) => row.slice(head * size, (head + 1) * size);
    const mixed = q.map((query, t) =>
      Array.from({ length: heads }, (_, head) => {
        const shares = softmax(k.map((key, s) => dot(part(query, head), part(key, head)) + score(head, t, s)));
        return Array.from({ length: size }, (_, i) =>
          dot(
            shares,
            v.map((row) => row[head * size + i]!),
          ),
        );
      }).flat(),
    );
    return times(weight(`${name}.o`), mixed);
  };

  const dense = (name: string, x: Matrix) => {
    const inner = times(weight(`${name}.wi`), x).map((row) => row.map((v) => Math.max(0, v)));
    return times(weight(`${name}.wo`), inner);
  };

  const naive: NaiveSwitch = { dropped: 0, logits };

  function feedForward(name: string, x: Matrix, capacity: number): Matrix {
    if (weights.has(`${name}.wi.weight`)) return dense(name, x);
    const taken = new Map<number, number>();
    return x.map((row) => {
      const shares = softmax(times(weight(`${name}.router.classifier`), [row])[0]!);
      const expert = shares.indexOf(Math.max(...shares));
      taken.set(expert, (taken.get(expert) ?? 0) + 1);
      if (taken.get(expert)! > capacity) {
        naive.dropped++;
        return row.map(() => 0);
      }
      return dense(`${name}.experts.expert_${expert}`, [row])[0]!.map((v) => v * shares[expert]!);
    });
  }

  function stack(name: 'encoder' | 'decoder', tokens: readonly number[], capacity: number, encoded?: Matrix): Matrix {
    const bias = weight(`${name}.block.0.layer.0.SelfAttention.relative_attention_bias`);
    const bidirectional = name === 'encoder';
    const buckets = { count: 32, maxDistance: 128, bidirectional };
    const score = (head: number, t: number, s: number) =>
      !bidirectional && s > t ? -Infinity : bias[relativeBucket(s - t, buckets)]![head]!;
    let x: Matrix = tokens.map((token) => weight('shared')[token]!);
    const layers = bidirectional ? sizes.num_layers : sizes.num_decoder_layers;
    for (let l = 0; l < layers; l++) {
      const block = `${name}.block.${l}.layer`;
      const own = norm(`${block}.0.layer_norm`, x);
      x = plus(x, attention(`${block}.0.SelfAttention`, own, own, score));
      if (encoded) {
        const read = norm(`${block}.1.layer_norm`, x);
        x = plus(
          x,
          attention(`${block}.1.EncDecAttention`, read, encoded, () => 0),
        );
      }
      const last = `${block}.${encoded ? 2 : 1}`;
      x = plus(x, feedForward(`${last}.mlp`, norm(`${last}.layer_norm`, x), capacity));
    }
    return norm(`${name}.final_layer_norm`, x);
  }

  function logits(source: readonly number[], tokens: readonly number[], capacity: number): number[][] {
    naive.dropped = 0;
    const states = stack('decoder', tokens, capacity, stack('encoder', source, capacity));
    return times(weight('shared'), states).map((row) => row.map((v) => v * sizes.d_model ** -0.5));
  }

  return naive;
}
