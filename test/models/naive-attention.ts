import type { GroupedQueryOptions } from '../../src/models/blocks/attention.js';
import type { Rotation } from '../../src/models/rope.js';

/** Rows of numbers: [tokens][width]. */
export type Rows = readonly (readonly number[])[];

/** The weights of a block by name, each [rows][columns]; a vector has one row. */
export type Weights = ReadonlyMap<string, Rows>;

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

function linear(weights: Weights, name: string, x: readonly number[]): number[] {
  const bias = weights.get(`${name}.bias`)?.[0];
  return weights.get(`${name}.weight`)!.map((row, i) => dot(row, x) + (bias?.[i] ?? 0));
}

function rmsNorm(x: readonly number[], weight: readonly number[], epsilon: number): number[] {
  const rms = Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((v, i) => (v / rms) * weight[i]!);
}

export function rotated(head: readonly number[], position: number, rotation?: Rotation, extended = false): number[] {
  if (!rotation) return [...head];
  const { dimensions, interleaved, base } = rotation;
  const { divisors, magnitude } = extended ? rotation.extended! : rotation;
  const result = [...head];
  for (let i = 0; i < dimensions / 2; i++) {
    const angle = (position * base ** ((-2 * i) / dimensions)) / (divisors?.[i] ?? 1);
    const [cos, sin] = [Math.cos(angle) * magnitude, Math.sin(angle) * magnitude];
    const [a, b] = interleaved ? [2 * i, 2 * i + 1] : [i, i + dimensions / 2];
    result[a] = head[a]! * cos - head[b]! * sin;
    result[b] = head[a]! * sin + head[b]! * cos;
  }
  return result;
}

/** Grouped-query attention of a whole sequence from its first token on, in float64, one step after the other. */
export function naiveAttention(
  options: Omit<GroupedQueryOptions, 'rotate'>,
  rotation: Rotation | undefined,
  weights: Weights,
  x: Rows,
  extended: boolean,
): number[][] {
  const { heads, kvHeads, headSize, norm, clip = Infinity, scale = headSize ** -0.5, window = Infinity } = options;
  const { valueSize = headSize, valueScale = 1, outputGate: gate, valueNorm } = options;
  const split = (values: readonly number[], size = headSize) =>
    Array.from({ length: values.length / size }, (_, h) => values.slice(h * size, (h + 1) * size));
  const limited = (values: readonly number[]) => values.map((v) => Math.min(clip, Math.max(-clip, v)));
  const project = (name: string, token: readonly number[], position: number) => {
    const weight = weights.get(`a.${name}_norm.weight`)?.[0];
    let values = linear(weights, `a.${name}_proj`, token);
    if (norm?.over === 'width') values = rmsNorm(values, weight!, norm.epsilon);
    const rotate = (h: readonly number[]) => rotated(h, position, rotation, extended);
    const normalise = (h: readonly number[]) => limited(norm?.over === 'head' ? rmsNorm(h, weight!, norm.epsilon) : h);
    return split(values).map((h) => (norm?.rotated ? normalise(rotate(h)) : rotate(normalise(h))));
  };
  const gateOf = (token: readonly number[]) =>
    linear(weights, 'a.g_proj', token).map((v) =>
      gate!.by === 'sigmoid' ? 1 / (1 + Math.exp(-v)) : Math.log1p(Math.exp(v)),
    );
  const keys = x.map((token, t) => project('k', token, t));
  const values = x.map((token) =>
    split(
      limited(linear(weights, 'a.v_proj', token)).map((v) => v * valueScale),
      valueSize,
    ).map((head) => (valueNorm ? rmsNorm(head, Array(valueSize).fill(1), valueNorm.epsilon) : head)),
  );
  return x.map((token, t) => {
    const mixed = project('q', token, t).flatMap((query, h) => {
      const group = Math.floor(h / (heads / kvHeads));
      const seen = x.map((_, s) => s).filter((s) => s <= t && t - s < window);
      const scores = seen.map((s) => Math.exp(dot(query, keys[s]![group]!) * scale));
      const sink = options.sinks ? Math.exp(weights.get('a.sinks')![0]![h]!) : 0;
      const sum = scores.reduce((a, b) => a + b, sink);
      return Array.from({ length: valueSize }, (_, i) =>
        seen.reduce((total, s, at) => total + (scores[at]! / sum) * values[s]![group]![i]!, 0),
      );
    });
    const factors = gate ? gateOf(token) : [1];
    const each = mixed.length / factors.length;
    const gated = gate ? mixed.map((v, i) => v * factors[Math.floor(i / each)]!) : mixed;
    return linear(weights, 'a.o_proj', gated).map((v) => v * (options.outputScale ?? 1));
  });
}
