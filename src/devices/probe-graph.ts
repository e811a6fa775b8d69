import { api } from '../native/ggml/api.js';
import type { Graph } from '../native/ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import { Device } from './device.js';

const INPUTS = 64;
const OUTPUTS = 32;

const NAMES = { [Type.BF16]: 'BF16', [Type.F32]: 'F32' } as const;
type WeightType = keyof typeof NAMES;

/** Types of weights and numbers of tokens: one token goes through other kernels than many do. */
const QUICK: readonly (readonly [WeightType, number])[] = [
  [Type.BF16, 1],
  [Type.F32, 1],
];
const THOROUGH: typeof QUICK = [...QUICK, [Type.BF16, 48], [Type.F32, 48]];

/** Largest difference from the exact result, as a share of the largest value: activations may be rounded to bfloat16. */
const TOLERANCE = 0.02;

/** Multiples of 1/8 up to ±1, exact in every type. */
const eighth = (i: number) => (((i * 37) % 17) - 8) / 8;
const weights = Float32Array.from({ length: INPUTS * OUTPUTS }, (_, i) => eighth(i));

/** Values that are exact in bfloat16, as its bits or as they are. */
function encode(values: Float32Array, type: WeightType): Float32Array | Uint16Array {
  return type === Type.F32 ? values : Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
}

/** softmax(weight · x / 8) for each row of `x`, in float64. */
function expected(x: Float32Array, tokens: number): number[] {
  return Array.from({ length: tokens }, (_, t) => {
    const logits = Array.from({ length: OUTPUTS }, (_, o) => {
      let sum = 0;
      for (let i = 0; i < INPUTS; i++) sum += weights[o * INPUTS + i]! * x[t * INPUTS + i]!;
      return Math.exp(sum / 8);
    });
    const total = logits.reduce((a, b) => a + b, 0);
    return logits.map((value) => value / total);
  }).flat();
}

/**
 * Why the device does not compute what it should, in one line; undefined where it does. May abort the process.
 * @param software checks less: a software device takes seconds to compile each kernel
 */
export function checkDevice(pointer: bigint, software: boolean): string | undefined {
  const device = new Device('probe', pointer, false, 1);
  for (const [type, tokens] of software ? QUICK : THOROUGH) {
    const fault = checkProduct(device, type, tokens);
    if (fault) return `it ${fault} of ${NAMES[type]} weights and ${tokens} token${tokens > 1 ? 's' : ''}`;
  }
  device.free();
  return undefined;
}

function checkProduct(device: Device, type: WeightType, tokens: number): string | undefined {
  const ggml = api();
  const context = new TensorContext(3);
  const weight = context.tensor(type, INPUTS, OUTPUTS);
  const x = context.tensor(Type.F32, INPUTS, tokens);
  const mask = context.tensor(Type.F32, OUTPUTS, tokens);
  device.allocate(context, 'the check');
  const input = Float32Array.from({ length: INPUTS * tokens }, (_, i) => eighth(i + 5));
  const upload = (tensor: Tensor, data: Float32Array | Uint16Array) =>
    ggml.tensorSet(tensor.pointer, data, 0, data.byteLength);
  upload(weight, encode(weights, type));
  upload(x, input);
  upload(mask, new Float32Array(OUTPUTS * tokens));
  let product!: Tensor;
  let result!: Tensor;
  const build = (g: Graph) => {
    product = g.matmul(weight, x);
    result = g.output(g.softMax(product, mask, 1 / 8));
  };
  const graph = device.graph(8, build);
  if (!device.compute.supports(product) || !device.compute.supports(result)) return 'has no product';
  device.compute.compute(graph);
  const output = new Float32Array(OUTPUTS * tokens);
  ggml.tensorGet(result.pointer, output, 0, output.byteLength);
  graph.free();
  context.free();
  return agree(output, expected(input, tokens)) ? undefined : 'gives a wrong product';
}

/** Written so that NaN does not agree. */
function agree(computed: Float32Array, exact: readonly number[]): boolean {
  const scale = Math.max(...exact);
  return exact.every((value, i) => Math.abs(computed[i]! - value) <= TOLERANCE * scale);
}
