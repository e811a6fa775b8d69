// The CPU expert kernels beside a plain read of the same bytes and beside ggml, type by type, all in turn within one run:
// medians over rounds. Needs no development dependencies: node dist/bench/kernels.js [--types Q4_K,Q6_K --tokens 1,8,512
// --hidden 2048 --ff 768 --experts 8 --json FILE]
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cpusForThreads, usableCores } from '#fiddler/devices/cores.js';
import { EXPERT_TYPES, type ExpertType } from '#fiddler/native/expert-arguments.js';
import { devices, loadBackend } from '#fiddler/native/ggml/backend.js';
import { blockElements, Type } from '#fiddler/native/ggml/tensor.js';
import { type ExpertPool, loadExpertKernels, openExpertKernels } from '#fiddler/native/kernels.js';
import { Experts, Ggml, matrixBytes, nativeCall, type Shape } from './kernel-calls.js';
import { median } from './median.js';

const { values: args } = parseArgs({
  options: {
    hidden: { type: 'string', default: '2048' },
    ff: { type: 'string', default: '768' },
    /** Experts of one call. */
    experts: { type: 'string', default: '8' },
    /** Megabytes of experts that calls rotate over, so that none is found in a cache. */
    megabytes: { type: 'string', default: '400' },
    types: { type: 'string' },
    tokens: { type: 'string', default: '1,2,4,8,512' },
    threads: { type: 'string', default: '0' },
    kernel: { type: 'string' },
    /** Another build of the kernels, to compare variants. */
    library: { type: 'string' },
    /** Rounds at least, and seconds at least, of each type and number of tokens. */
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '0.15' },
    /** ggml is left out beyond this many tokens. */
    'ggml-tokens': { type: 'string', default: '512' },
    json: { type: 'string' },
  },
});
const numbers = (text: string) => text.split(',').map(Number);
const [hidden, ff, experts] = [Number(args.hidden), Number(args.ff), Number(args.experts)];
const tokenCounts = numbers(args.tokens);
/** Up to so many tokens an expert is bound by memory, and rates are in bytes. */
const FEW = 16;
/** Bytes of weights that a round reads at most, where a call is short. */
const ROUND_BYTES = 2e8;

/** Bytes a second of weights read, but for error. */
interface Row {
  type: ExpertType;
  tokens: number;
  read: number;
  native: number;
  ggml?: number;
  /** Medians of each round's ratio. */
  ofRead: number;
  ofGgml?: number;
  /** FLOP/s. */
  flops: number;
  /** Σ (y - y in f32)² / Σ (y in f32)². */
  error: number;
}

function secondsOf(run: () => void): number {
  const start = performance.now();
  run();
  return (performance.now() - start) / 1e3;
}

function normalisedError(a: Float32Array, b: Float32Array): number {
  let error = 0;
  let norm = 0;
  for (const [i, exact] of b.entries()) {
    error += (a[i]! - exact) ** 2;
    norm += exact ** 2;
  }
  return error / norm;
}

function measure(pool: ExpertPool, ggml: Ggml, weights: Experts, tokens: number): Row {
  const { shape } = weights;
  const x = Float32Array.from({ length: tokens * hidden }, (_, i) => (((i * 7919) % 1001) - 500) / 300);
  const y = new Float32Array(tokens * hidden);
  const groups = weights.groups(Math.min(experts, weights.all.length));
  const bytes = 3 * matrixBytes(shape) * groups[0]!.length;
  const calls = groups.map((group) => nativeCall(pool, shape, group, tokens, x, y));
  const turns = tokens > FEW ? 1 : Math.min(groups.length, Math.max(1, Math.floor(ROUND_BYTES / bytes)));
  const theirs = tokens > Number(args['ggml-tokens']) ? undefined : ggml.calls(shape, groups, tokens, x);
  const rounds: { read: number; native: number; ggml: number }[] = [];
  let next = 0;
  // What was read just now is not what is computed next.
  const each = (run: (group: number) => void) => {
    for (let i = 0; i < turns; i++, next = (next + 1) % groups.length) run(next);
  };
  const end = performance.now() + 1e3 * Number(args.seconds);
  for (let round = 0; round <= Number(args.rounds) || performance.now() < end; round++) {
    pool.begin();
    const read = secondsOf(() => each((g) => pool.measureRead(groups[g]![0]!.gate.address, bytes)));
    const native = secondsOf(() => each((g) => calls[g]!()));
    pool.end();
    const other = theirs ? secondsOf(() => each(theirs.run)) : Number.NaN;
    if (round > 0) rounds.push({ read, native, ggml: other }); // the first warms up
  }
  theirs?.free();
  const rate = (of: (typeof rounds)[number]['read'][]) => (bytes * turns) / median(of);
  const native = rate(rounds.map((r) => r.native));
  calls[0]!();
  const exact = new Float32Array(y.length);
  nativeCall(pool, shape, groups[0]!, tokens, x, exact, true)();
  return {
    type: shape.type,
    tokens,
    read: rate(rounds.map((r) => r.read)),
    native,
    ofRead: median(rounds.map((r) => r.read / r.native)),
    ...(theirs && { ggml: rate(rounds.map((r) => r.ggml)), ofGgml: median(rounds.map((r) => r.ggml / r.native)) }),
    flops: (native / bytes) * 6 * hidden * ff * groups[0]!.length * tokens,
    error: normalisedError(y, exact),
  };
}

/** One type: a line. */
function line(rows: readonly Row[], bf16: readonly Row[]): string[] {
  const cells = rows.map((row) => {
    const ggml = row.ofGgml === undefined ? '' : ` ${row.ofGgml.toFixed(2)}`;
    const twin = bf16.find((r) => r.tokens === row.tokens);
    return row.tokens > FEW
      ? `${(row.flops / 1e12).toFixed(2)} ${twin ? (row.flops / twin.flops).toFixed(2) : '-'}${ggml}`
      : `${(row.native / 1e9).toFixed(1)} ${row.ofRead.toFixed(2)}${ggml}`;
  });
  const error = Math.max(...rows.map((r) => r.error)).toExponential(1);
  return [rows[0]!.type, (median(rows.map((r) => r.read)) / 1e9).toFixed(1), ...cells, error];
}

function typesAsked(): ExpertType[] {
  const all = Object.keys(EXPERT_TYPES) as ExpertType[];
  const asked = args.types ? args.types.split(',') : ['BF16', ...all.filter((t) => t !== 'BF16' && t !== 'F32')];
  for (const type of asked) if (!all.includes(type as ExpertType)) throw new Error(`no type ${type}`);
  return asked as ExpertType[];
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
  const threads = Number(args.threads) || usableCores();
  const pool = kernels.pool(threads, cpusForThreads(threads));
  const ggml = new Ggml(cpu, threads);
  console.log(
    `${cpu.description}, ${pool.threads} threads, kernel ${kernels.name} (of ${kernels.available.join(', ')})\n` +
      `experts of ${hidden} x ${ff}, ${experts} a call. To ${FEW} tokens: GB/s, of a plain read, x ggml; more: TFLOP/s, x BF16, x ggml`,
  );
  const header = ['type', 'read', ...tokenCounts.map((n) => `n = ${n}`), 'NMSE'];
  const widths = [8, 6, ...tokenCounts.map(() => 16), 8];
  const print = (cells: string[]) => console.log(cells.map((cell, i) => cell.padStart(widths[i]!)).join('  '));
  print(header);
  const results: Row[] = [];
  for (const type of typesAsked()) {
    if (hidden % blockElements(Type[type]) !== 0 || ff % blockElements(Type[type]) !== 0) continue;
    const shape: Shape = { type, hidden, ff };
    const count = Math.max(experts, Math.ceil((1e6 * Number(args.megabytes)) / (3 * matrixBytes(shape))));
    const weights = new Experts(shape, count, ggml.bufferType);
    const rows = tokenCounts.map((n) => measure(pool, ggml, weights, n));
    weights.free();
    results.push(...rows);
    print(line(rows, type === 'BF16' ? [] : results.filter((r) => r.type === 'BF16')));
  }
  pool.close();
  if (args.json)
    writeFileSync(
      args.json,
      `${JSON.stringify({ cpu: cpu.description, threads, kernel: kernels.name, hidden, ff, experts, results }, null, 1)}\n`,
    );
}

main();
