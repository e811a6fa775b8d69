import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareEnvironment } from '../../src/devices/environment.js';
import { loadEngine } from '../../src/engine/load.js';
import { TraceReader } from '../../src/experts/trace.js';
import { Type } from '../../src/native/ggml/tensor.js';
import { type LoadOptions, QUANTIZED_TYPES } from '../../src/options.js';
import { nmse } from '../models/gguf-logits.js';
import { dequantizedModel } from '../support/dequantized.js';
import { temporaryFolder } from '../support/folder.js';

prepareEnvironment({ dtype: 'f32' });

const BUNDLED = 'models/mini-mixtral';
/** In the stored type, as of GGUF files. */
const LARGEST_NMSE = 3e-4;
const TEXT = 16;
const TEXTS = Array.from({ length: 8 }, (_, text) =>
  Array.from({ length: TEXT }, (_, i) => (((i + 1) * (7919 + 104 * text)) % 4093) + 3),
);

interface Position {
  logits: Float32Array;
  /** What the routers of all layers choose. */
  experts: string;
}

/** All positions of all texts. */
function computed(dir: string, options: LoadOptions): Position[] {
  const trace = join(temporaryFolder(), 'trace.jsonl');
  const rows: Float32Array[] = [];
  const session = loadEngine(dir, {
    accelerator: 'none',
    ctx: 64,
    profile: false,
    policy: 'static',
    trace,
    ...options,
  });
  try {
    for (const tokens of TEXTS)
      session.evaluate(
        tokens,
        () => false,
        (_, row) => void rows.push(row.slice()),
      );
  } finally {
    session.close();
  }
  const reader = new TraceReader(trace);
  const calls = readFileSync(trace, 'utf8')
    .trimEnd()
    .split('\n')
    .flatMap((line) => reader.read(line) ?? []);
  const experts = calls.flatMap(({ tokens, experts }) =>
    Array.from({ length: tokens }, (_, t) =>
      experts
        .map((chosen) => chosen.slice((t * chosen.length) / tokens, ((t + 1) * chosen.length) / tokens).sort())
        .join(' '),
    ),
  );
  expect(experts.length).toBe(rows.length);
  return rows.map((logits, i) => ({ logits, experts: experts[i]! }));
}

describe.each(QUANTIZED_TYPES)('the bundled model quantized to %s', (type) => {
  let reference: Position[] | undefined;
  const expected = () =>
    (reference ??= computed(dequantizedModel(BUNDLED, Type[type.toUpperCase() as keyof typeof Type]), {
      dtype: 'f32',
    }));

  it.each(['ggml', 'native'] as const)(
    'has the logits of its dequantized numbers until rounding turns a router: %s',
    (cpuKernels) => {
      const found = computed(BUNDLED, { quantize: type, cpuKernels });
      const before = TEXTS.flatMap((_, text) => {
        const positions = Array.from({ length: TEXT }, (_, i) => text * TEXT + i);
        const turned = positions.findIndex((i) => found[i]!.experts !== expected()[i]!.experts);
        return turned < 0 ? positions : positions.slice(0, turned);
      });
      expect(before.length).toBeGreaterThan((TEXTS.length * TEXT) / 4);
      const of = (all: Position[]) => Float32Array.from(before.flatMap((i) => [...all[i]!.logits]));
      expect(nmse(of(found), of(expected()))).toBeLessThan(LARGEST_NMSE);
    },
  );
});
