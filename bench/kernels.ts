// CPU expert kernels against what the machine can do and against ggml, all in one run. Needs no development
// dependencies: node dist/bench/kernels.js [--hidden 4096 --ff 14336 --experts 4 --type BF16 --threads 0 --kernel NAME]
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import koffi from 'koffi';
import { cpusForThreads, usableCores } from '#fiddler/devices/cores.js';
import { type ExpertType, encodeExperts, encodeLayer } from '#fiddler/native/expert-arguments.js';
import { api } from '#fiddler/native/ggml/api.js';
import { Backend, Buffer, devices, GraphAllocator, loadBackend } from '#fiddler/native/ggml/backend.js';
import { Graph } from '#fiddler/native/ggml/graph.js';
import { rowBytes, type Tensor, TensorContext, Type } from '#fiddler/native/ggml/tensor.js';
import { Threadpool } from '#fiddler/native/ggml/threadpool.js';
import { type ExpertPool, loadExpertKernels, openExpertKernels } from '#fiddler/native/kernels.js';
import { memmove } from '#fiddler/native/os/memory.js';

const { values: args } = parseArgs({
  options: {
    hidden: { type: 'string', default: '4096' },
    ff: { type: 'string', default: '14336' },
    /** Experts in memory; measurements rotate over them so that none is found in a cache. */
    experts: { type: 'string', default: '4' },
    type: { type: 'string', default: 'BF16' },
    tokens: { type: 'string', default: '1,2,4,8,16,32,64,128,256,512' },
    threads: { type: 'string', default: '0' },
    kernel: { type: 'string' },
    /** Another build of the kernels, to compare variants. */
    library: { type: 'string' },
    /** Seconds for each measurement. */
    seconds: { type: 'string', default: '0.5' },
    /** ggml is left out beyond this many tokens. */
    'ggml-tokens': { type: 'string', default: '512' },
  },
});
const [hidden, ff, count] = [Number(args.hidden), Number(args.ff), Number(args.experts)];
const type = args.type as ExpertType;
const seconds = Number(args.seconds);
/** Experts of one call in decode, as in top-2 routing. */
const TOP = Math.min(2, count);
const MATRIX_BYTES = rowBytes(Type[type], hidden) * ff;
const FLOPS_A_TOKEN = 6 * hidden * ff;
const mostTokens = Math.max(...args.tokens.split(',').map(Number));

interface Weights {
  gate: Tensor;
  up: Tensor;
  down: Tensor;
}

/** Best seconds of one call, after one to warm up; `run` is told the number of the call. */
function best(run: (i: number) => void): number {
  run(0);
  let shortest = Number.POSITIVE_INFINITY;
  const end = performance.now() + 1e3 * seconds;
  for (let i = 1; i < 4 || performance.now() < end; i++) {
    const start = performance.now();
    run(i);
    shortest = Math.min(shortest, (performance.now() - start) / 1e3);
  }
  return shortest;
}

/** Experts of small random weights in CPU memory that ggml and the native kernels share. */
function allocateExperts(bufferType: bigint): Weights[] {
  const context = new TensorContext(3 * count);
  const weights = Array.from({ length: count }, () => ({
    gate: context.tensor(Type[type], hidden, ff),
    up: context.tensor(Type[type], hidden, ff),
    down: context.tensor(Type[type], ff, hidden),
  }));
  Buffer.allocate(context, bufferType, 'experts').markWeights();
  const pattern = randomWeights();
  for (const { gate, up, down } of weights)
    for (const { address } of [gate, up, down])
      for (let at = 0; at < MATRIX_BYTES; at += pattern.length)
        memmove(address + BigInt(at), koffi.address(pattern), Math.min(pattern.length, MATRIX_BYTES - at));
  return weights;
}

/** About a megabyte of stored weights with a deviation of about 0.02. */
function randomWeights(): Uint8Array {
  const blocks = 32768;
  const small = () => 0.04 * (Math.random() + Math.random() - 1);
  if (type === 'F32') return new Uint8Array(Float32Array.from({ length: 32 * blocks }, small).buffer);
  const bytes = new Uint8Array(blocks * rowBytes(Type[type], 32));
  const out = new DataView(bytes.buffer);
  const single = new DataView(new ArrayBuffer(4));
  for (let at = 0; at < bytes.length; at += 2) {
    if (type === 'Q8_0' && at % 34 === 0)
      out.setUint16(at, 0x0ac0, true); // 2^-12.3
    else if (type === 'Q8_0') out.setUint16(at, Math.random() * 65536, true);
    // A half's sign and exponent 2^-7 to 2^-6, with a random mantissa.
    else if (type === 'F16')
      out.setUint16(at, (Math.random() < 0.5 ? 0x8000 : 0) | 0x2000 | (Math.random() * 1024), true);
    else {
      single.setFloat32(0, small());
      out.setUint16(at, single.getUint16(0), true);
    }
  }
  return bytes;
}

/** One call of the native kernels: the experts in turn, `n` tokens each. */
function nativeCall(
  pool: ExpertPool,
  experts: Weights[],
  n: number,
  x: Float32Array,
  y: Float32Array,
  fullF32 = false,
) {
  const row = rowBytes(Type[type], hidden);
  const encoded = encodeExperts(
    experts.map(({ gate, up, down }, i) => ({
      gate: gate.address,
      up: up.address,
      down: down.address,
      gateStride: row,
      upStride: row,
      downStride: rowBytes(Type[type], ff),
      rowBegin: 0,
      rowEnd: ff,
      firstRoute: i * n,
      routes: n,
    })),
  );
  const routes = {
    tokens: Int32Array.from({ length: n * experts.length }, (_, i) => i % n),
    weights: new Float32Array(n * experts.length).fill(1),
  };
  const layer = encodeLayer({ hidden, upType: type, downType: type, activation: 'silu', fullF32 });
  return () => pool.run(layer, encoded, routes, x, y, n);
}

/** The same as ggml graphs; returns the seconds of a call. */
function measureGgml(backend: Backend, bufferType: bigint, groups: Weights[][], n: number, x: Float32Array): number {
  const context = new TensorContext(1);
  const input = context.tensor(Type.F32, hidden, n);
  const buffer = Buffer.allocate(context, bufferType, 'tokens');
  memmove(input.address, koffi.address(x), 4 * hidden * n);
  const allocator = new GraphAllocator(bufferType);
  const graphs = groups.map((experts) => {
    const graph = new Graph(64);
    const outputs = experts.map((e) =>
      graph.matmul(e.down, graph.swiglu(graph.matmul(e.gate, input), graph.matmul(e.up, input))),
    );
    graph.output(outputs.reduce((sum, y) => graph.add(sum, y)));
    return graph;
  });
  allocator.reserve(graphs[0]!);
  const result = best((i) => {
    const graph = graphs[i % graphs.length]!;
    if (graphs.length > 1 || i === 0) allocator.assign(graph);
    backend.compute(graph);
  });
  for (const graph of graphs) graph.free();
  allocator.free();
  buffer.free();
  context.free();
  return result;
}

/** Σ (a - b)² / Σ b². */
function normalisedError(a: Float32Array, b: Float32Array): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < a.length; i++) {
    error += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return error / norm;
}

interface Row {
  n: number;
  native: number;
  error: number;
  ggml?: number;
}

function measureNative(pool: ExpertPool, groups: Weights[][], n: number, x: Float32Array): Row {
  const y = new Float32Array(n * hidden);
  const calls = groups.map((experts) => nativeCall(pool, experts, n, x, y));
  pool.begin();
  const native = best((i) => calls[i % calls.length]!());
  pool.end();
  const exact = new Float32Array(n * hidden);
  y.fill(0);
  calls[0]!();
  nativeCall(pool, groups[0]!, n, x, exact, true)();
  return { n, native, error: normalisedError(y, exact) };
}

/** Seconds of a plain read of one expert. */
function shortestRead(weights: Weights[], pool: ExpertPool): number {
  let shortest = Number.POSITIVE_INFINITY;
  best((i) => {
    const { gate, up, down } = weights[i % weights.length]!;
    let total = 0;
    for (const { address } of [gate, up, down]) total += MATRIX_BYTES / pool.measureRead(address, MATRIX_BYTES);
    shortest = Math.min(shortest, total);
  });
  return shortest;
}

function table(header: string[], rows: string[][]): void {
  const widths = header.map((h, i) => Math.max(h.length, ...rows.map((r) => r[i]!.length)));
  for (const row of [header, ...rows]) console.log(row.map((cell, i) => cell.padStart(widths[i]!)).join('  '));
}

function main(): void {
  const kernels = args.library ? openExpertKernels(resolve(args.library)) : loadExpertKernels();
  if (!kernels) {
    console.log('the native kernels are not built here: node native/build.mjs');
    process.exitCode = 1;
    return;
  }
  if (args.kernel) kernels.select(args.kernel);
  loadBackend();
  const cpu = devices().find((d) => d.kind === 'cpu')!;
  const backend = new Backend(cpu.pointer);
  const bufferType: bigint = api().deviceBufferType(cpu.pointer);
  const weights = allocateExperts(bufferType);
  // Decode computes TOP experts a call, prefill one at a time.
  const groups = (n: number) =>
    n > 8 ? weights.map((w) => [w]) : weights.flatMap((_, i) => (i % TOP === 0 ? [weights.slice(i, i + TOP)] : []));
  const x = Float32Array.from({ length: mostTokens * hidden }, () => 2 * Math.random() - 1);

  const threads = Number(args.threads) || usableCores();
  const pool = kernels.pool(threads, cpusForThreads(threads));
  const read = (3 * MATRIX_BYTES) / shortestRead(weights, pool);
  const peak = pool.measurePeak(type);
  console.log(
    `${cpu.description}, ${pool.threads} threads, kernel ${kernels.name} (of ${kernels.available.join(', ')})\n` +
      `experts of ${hidden} x ${ff}, ${type}; streaming read ${(read / 1e9).toFixed(1)} GB/s, ` +
      `multiply instruction ${(peak / 1e12).toFixed(2)} TFLOP/s`,
  );
  const rows = args.tokens.split(',').map((n) => measureNative(pool, groups(Number(n)), Number(n), x));
  pool.close();

  const threadpool = new Threadpool(cpu.pointer, pool.threads, true);
  threadpool.attach(backend);
  for (const row of rows)
    if (row.n <= Number(args['ggml-tokens'])) row.ggml = measureGgml(backend, bufferType, groups(row.n), row.n, x);

  const percent = (v: number) => `${(100 * v).toFixed(0)}%`;
  table(
    ['tokens', 'ms', 'GB/s', 'of read', 'TFLOP/s', 'of peak', 'of roofline', 'ggml ms', 'x ggml', 'NMSE to f32'],
    rows.map(({ n, native, ggml, error }) => {
      const experts = groups(n)[0]!.length;
      const bytes = (3 * MATRIX_BYTES * experts) / native;
      const flops = (FLOPS_A_TOKEN * n * experts) / native;
      const roofline = Math.min(peak, (read * FLOPS_A_TOKEN * n) / (3 * MATRIX_BYTES));
      return [
        String(n),
        (1e3 * native).toFixed(2),
        (bytes / 1e9).toFixed(1),
        percent(bytes / read),
        (flops / 1e12).toFixed(3),
        percent(flops / peak),
        percent(flops / roofline),
        ggml ? (1e3 * ggml).toFixed(2) : '-',
        ggml ? (ggml / native).toFixed(2) : '-',
        error.toExponential(1),
      ];
    }),
  );
}

main();
