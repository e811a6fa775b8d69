import { expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { changedModel } from '../support/model.js';
import type { TensorToWrite } from '../support/safetensors.js';

function logitsOf(dir: string, accelerator: 'none' | 'host'): number[] {
  const session = loadEngine(dir, { accelerator, ctx: 64, threads: 1, policy: 'static' });
  try {
    const logits: number[] = [];
    session.evaluate(
      [1, 5, 17],
      () => false,
      (_, row) => logits.push(...row),
    );
    return logits;
  } finally {
    session.close();
  }
}

const withoutHead = (tensors: TensorToWrite[]) => tensors.filter(({ name }) => name !== 'lm_head.weight');
/** The embeddings under the head's name. */
const sameHead = (tensors: TensorToWrite[]) => {
  const embedding = tensors.find(({ name }) => name === 'model.embed_tokens.weight')!;
  return [...withoutHead(tensors), { ...embedding, name: 'lm_head.weight' }];
};

it.each(['none', 'host'] as const)('a head that is stored beside tied embeddings is used, on %s', (accelerator) => {
  const tied = { tie_word_embeddings: true };
  const own = logitsOf(changedModel({ config: tied }), accelerator);
  expect(own).toEqual(logitsOf(changedModel({ config: { tie_word_embeddings: false } }), accelerator));
  const embeddings = logitsOf(changedModel({ config: tied, tensors: withoutHead }), accelerator);
  expect(embeddings).not.toEqual(own);
  expect(logitsOf(changedModel({ config: tied, tensors: sameHead }), accelerator)).toEqual(embeddings);
});
