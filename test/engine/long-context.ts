import { rmSync } from 'node:fs';
import { expect } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { changedModel } from '../support/model.js';
import type { TensorToWrite } from '../support/safetensors.js';

/** What a number of bfloat16 is multiplied by, a power of two: its exponent grows. */
function scaled(data: Uint8Array, log2: number): Uint8Array {
  const numbers = new Uint16Array(data.slice().buffer).map((bits) =>
    (bits & 0x7f80) === 0 ? bits : bits + (log2 << 7),
  );
  return new Uint8Array(numbers.buffer);
}

/**
 * A model of one layer that gives the same logits at every position of any text: no query tells tokens apart, and all
 * tokens are one. Its values are large, so that their sum over a long text is beyond float16.
 */
function evenModel(context: number): string {
  const change = (tensor: TensorToWrite): TensorToWrite => {
    const { name, shape, data } = tensor;
    if (name.endsWith('q_proj.weight')) return { ...tensor, data: new Uint8Array(data.length) };
    if (name.endsWith('v_proj.weight')) return { ...tensor, data: scaled(data, 6) };
    if (name !== 'model.embed_tokens.weight') return tensor;
    const row = data.subarray(0, data.length / shape[0]!);
    return { ...tensor, data: Buffer.concat(Array.from({ length: shape[0]! }, () => row)) };
  };
  return changedModel({
    config: { num_hidden_layers: 1, max_position_embeddings: context, sliding_window: null },
    tensors: (tensors) => tensors.map(change),
  });
}

/** Checks that tokens behind a prompt are computed as those of the prompt are. */
export function checkDecoding(accelerator: 'none' | 'host', length: number): void {
  const dir = evenModel(length + 8);
  const session = loadEngine(dir, { accelerator, ctx: length + 8, threads: 1 });
  try {
    const top: number[][] = [];
    session.generate(
      Array.from({ length }, (_, i) => 3 + (i % 5)),
      { temperature: 0, maxTokens: 4, logprobs: 5 },
      (_, likeliest) => {
        top.push(likeliest!.map(({ logprob }) => logprob));
        return false;
      },
      () => false,
    );
    const [prefilled, ...decoded] = top;
    expect(decoded).toHaveLength(3);
    // float16, in which a GPU stores keys and values, rounds by 2⁻¹¹ at most.
    for (const each of decoded) {
      for (const [i, logprob] of each.entries()) expect(Math.abs(logprob - prefilled![i]!)).toBeLessThan(2 ** -11);
    }
  } finally {
    session.close();
    rmSync(dir, { recursive: true });
  }
}
