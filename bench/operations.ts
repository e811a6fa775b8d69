// Computes every operation of a device's graphs on ggml's CPU too, from the same numbers, and names those that differ.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import koffi from 'koffi';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import type { Outcome } from '#fiddler/engine/engine.js';
import { loadEngine } from '#fiddler/engine/load.js';
import type { Workbench } from '#fiddler/engine/workbench.js';
import { policyNamed } from '#fiddler/experts/policies/index.js';
import { api, type Pointer } from '#fiddler/native/ggml/api.js';
import { Backend, devices } from '#fiddler/native/ggml/backend.js';
import { loadLibraries } from '#fiddler/native/ggml/libraries.js';
import { Type } from '#fiddler/native/ggml/tensor.js';
import type { LoadOptions } from '#fiddler/options.js';
import { EVEN } from './even-costs.js';
import { type GoldenCase, goldenNames, readGolden } from './golden-data.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const { values: args } = parseArgs({
  options: {
    accelerator: { type: 'string', default: 'vulkan' },
    model: { type: 'string', multiple: true },
    policy: { type: 'string', default: 'lanes' },
    /** Largest difference, as a share of the number or of `LEAST`. */
    tolerance: { type: 'string', default: '1e-3' },
  },
});

const golden = join(root, 'test', 'golden');
/** Numbers below are compared as if they were as large. */
const LEAST = 1e-2;
/** Bytes before these fields of ggml's struct of a tensor; `ne` and `nb` have four numbers, `src` has ten addresses. */
const FIELD = { type: 0, ne: 16, nb: 48, src: 152 };
/** What computes nothing, and what names equal numbers in any order. */
const SHAPES = ['NONE', 'VIEW', 'RESHAPE', 'PERMUTE', 'TRANSPOSE'];
const ORDERS = ['TOP_K', 'ARGSORT'];

const { base } = loadLibraries();
const nbytes = base.func('size_t ggml_nbytes(void* tensor)');
const operationOf = base.func('const char* ggml_op_desc(void* tensor)');
const prototype = koffi.proto('bool fiddler_compared(int node, void* found, void* expected, void* data)');
const compareGraph = base.func(
  'bool ggml_backend_compare_graph_backend(void* device, void* cpu, void* graph, fiddler_compared* compared, void* data, void* nodes, size_t count)',
);

/** Compares each node of a graph as it is computed. */
class Comparison {
  graphs = 0;
  nodes = 0;
  readonly differing = new Map<string, { times: number; off: number }>();
  private readonly cpu = new Backend(devices().find(({ kind }) => kind === 'cpu')!.pointer);

  constructor(private readonly tolerance: number) {}

  /** In place of computing it. @return ggml's status */
  compute(device: Pointer, graph: Pointer): number {
    this.graphs++;
    let error: unknown;
    const compared = koffi.register((_node: number, found: Pointer, expected: Pointer) => {
      try {
        this.compare(found, expected);
      } catch (thrown) {
        error = thrown; // nothing may be thrown through ggml
      }
      return true; // the rest is to be computed, too
    }, koffi.pointer(prototype));
    api().synchronize(device); // inputs that are on their way are copied to the CPU by others
    const done = compareGraph(device, this.cpu.pointer, graph, compared, null, null, 0);
    koffi.unregister(compared);
    if (error) throw error;
    return done ? 0 : -1;
  }

  end(): void {
    this.cpu.free();
  }

  /** The CPU goes on with what the device found, so that each operation is compared by itself. */
  private compare(found: Pointer, expected: Pointer): void {
    const operation = operationOf(found) as string;
    if (SHAPES.includes(operation)) return;
    this.nodes++;
    const numbers = bytesOf(found);
    const off = ORDERS.includes(operation) ? 0 : difference(found, numbers, bytesOf(expected));
    api().tensorSet(expected, numbers, 0, numbers.length);
    if (off < this.tolerance) return;
    const sources = [0, 1, 2, 3].flatMap((i) => {
      const source: Pointer | null = koffi.decode(found, FIELD.src + 8 * i, 'void*');
      return source ? [described(source)] : [];
    });
    const line = `${described(found)} of ${sources.join(', ')}`;
    const before = this.differing.get(line);
    this.differing.set(line, { times: (before?.times ?? 0) + 1, off: Math.max(before?.off ?? 0, off) });
  }
}

/** Largest of two tensors' numbers, as a share; ∞ where those of another type than float32 differ at all. */
function difference(tensor: Pointer, found: Uint8Array, expected: Uint8Array): number {
  const type: number = koffi.decode(tensor, FIELD.type, 'int');
  if (type !== Type.F32) return Buffer.compare(found, expected) === 0 ? 0 : Infinity;
  const [x, y] = [new Float32Array(found.buffer), new Float32Array(expected.buffer)];
  let largest = 0;
  for (const [i, value] of x.entries()) {
    if (Object.is(value, y[i]!)) continue; // infinities, and what was never written
    const off = Math.abs(value - y[i]!) / Math.max(LEAST, Math.abs(y[i]!));
    if (!(off <= largest)) largest = Number.isNaN(off) ? Infinity : off;
  }
  return largest;
}

function bytesOf(tensor: Pointer): Uint8Array {
  const bytes = new Uint8Array(nbytes(tensor));
  api().tensorGet(tensor, bytes, 0, bytes.length);
  return bytes;
}

/** A tensor's operation, sizes and strides. */
function described(tensor: Pointer): string {
  const four = (at: number) => [...koffi.decode(tensor, at, koffi.array('int64_t', 4))].map(Number).join(' ');
  return `${operationOf(tensor)} [${four(FIELD.ne)}] by [${four(FIELD.nb)}]`;
}

/** A prompt is computed, and another while the first one's answer is: calls of one group, and of two that differ. */
function run(session: Workbench, { tokens, source = tokens }: GoldenCase): void {
  const outcomes: Outcome[] = [];
  const begin = (prompt: readonly number[]) => {
    const options = { temperature: 0, maxTokens: 4, ignoreEnd: true };
    session.begin({ prompt, options, onToken: () => false, cancelled: () => false }, (outcome) =>
      outcomes.push(outcome),
    );
  };
  begin(source);
  for (let calls = 0; session.advance(); calls++) if (calls === 1) begin(source.slice(1));
  for (const outcome of outcomes) if ('error' in outcome) throw outcome.error;
}

function compared(name: string): boolean {
  const { dir, cases } = readGolden(golden, join(root, 'models'), name);
  const options: LoadOptions = {
    accelerator: args.accelerator as LoadOptions['accelerator'],
    dtype: 'f32',
    policy: 'stream', // costs are set here
    expertsResident: 0.5,
    sequences: 2,
    ctx: 128,
    threads: 1,
    profile: false,
  };
  const session = loadEngine(dir, options);
  const calls = api();
  const { compute, computeAsync } = calls;
  const comparison = new Comparison(Number(args.tolerance));
  try {
    session.use(policyNamed(args.policy), EVEN);
    calls.compute = calls.computeAsync = (device, graph) => comparison.compute(device as Pointer, graph as Pointer);
    run(session, cases[0]!);
  } finally {
    Object.assign(calls, { compute, computeAsync });
    comparison.end();
    session.close();
  }
  const { graphs, nodes, differing } = comparison;
  console.log(`${differing.size > 0 ? 'FAIL' : 'ok  '} ${name}: ${nodes} operations in ${graphs} graphs`);
  for (const [line, { times, off }] of differing)
    console.log(`       ${line}: ${off.toExponential(1)} off, ${times} times`);
  return differing.size === 0;
}

prepareEnvironment({ dtype: 'f32' });
const outcomes = (args.model ?? goldenNames(golden)).map(compared);
process.exitCode = outcomes.every(Boolean) ? 0 : 1;
