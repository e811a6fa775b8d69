import type { TensorToWrite } from './safetensors.js';

/** One matrix of one expert, as models are published. */
const EXPERT = /^(.*)\.(\d+)\.(gate_proj|up_proj|down_proj|w1|w3|w2)\.weight$/;

/**
 * A model's tensors as transformers 5 holds them in memory: of each layer one tensor of all gates and ups,
 * [experts, 2 · width, hidden], and one of all downs, [experts, hidden, width]; all in bf16.
 * @param transposed each matrix with its rows as columns, as some published models have them
 */
export function fuseExperts(tensors: readonly TensorToWrite[], transposed: boolean): TensorToWrite[] {
  const fused = new Map<string, TensorToWrite[]>();
  const others: TensorToWrite[] = [];
  for (const tensor of tensors) {
    const [, prefix, e, projection] = EXPERT.exec(tensor.name) ?? [];
    if (projection === undefined) {
      others.push(tensor);
      continue;
    }
    const down = /down|w2/.test(projection);
    const name = `${prefix}.${down ? 'down_proj' : 'gate_up_proj'}`;
    const matrices = fused.get(name) ?? [];
    fused.set(name, matrices);
    matrices[down ? Number(e) : 2 * Number(e) + (/gate|w1/.test(projection) ? 0 : 1)] = tensor;
  }
  const joined = [...fused].map(([name, m]) => join(name, m, name.endsWith('gate_up_proj') ? 2 : 1, transposed));
  return [...others, ...joined];
}

/** @param each matrices that become one, below each other */
function join(name: string, matrices: TensorToWrite[], each: number, transposed: boolean): TensorToWrite {
  const [rows, columns] = matrices[0]!.shape as [number, number];
  const [count, height] = [matrices.length / each, each * rows];
  const from = new Uint16Array(new Uint8Array(Buffer.concat(matrices.map(({ data }) => data))).buffer);
  const shape = transposed ? [count, columns, height] : [count, height, columns];
  const to = from.map((_, at) => {
    if (!transposed) return from[at]!;
    const [e, within] = [Math.floor(at / (height * columns)), at % (height * columns)];
    return from[(e * height + (within % height)) * columns + Math.floor(within / height)]!;
  });
  return { name, dtype: 'BF16', shape, data: new Uint8Array(to.buffer) };
}
