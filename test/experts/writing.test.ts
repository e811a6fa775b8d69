import { afterEach, expect, it } from 'vitest';
import { fillLayout } from '../../src/engine/load.js';
import { type Layout, layOut } from '../../src/loading/layout.js';
import { syntheticTensors } from '../../src/loading/synthetic.js';
import { PUBLISHED } from '../../src/models/published/index.js';
import { view } from '../../src/native/os/memory.js';
import { openSynthetic } from '../../src/weights/synthetic.js';

/** Bytes of a block of MXFP4, whose first is the scale, and what that is in a model without files. */
const [BLOCK, SCALE] = [17, 120];

let layout: Layout | undefined;
afterEach(() => layout?.close());

/** gpt-oss, whose experts have gate's rows and up's in turn in one tensor: of several pages, in memory without a file. */
function interleaved(): Layout {
  const sizes = { hidden_size: 512, intermediate_size: 512, num_hidden_layers: 1, num_local_experts: 2 };
  const config = { ...PUBLISHED['gpt-oss-20b']!, ...sizes, num_experts_per_tok: 1, vocab_size: 64, layer_types: null };
  return layOut(
    {
      name: 'interleaved',
      config,
      inMemory: true,
      tokenizer: false,
      synthetic: true,
      open: (spec, declarations) => openSynthetic('interleaved', syntheticTensors(spec, declarations), 1),
    },
    { accelerator: 'none', threads: 1, ctx: 64 },
  );
}

it('reads all of an expert before pages that two of its matrices share are given back', () => {
  layout = interleaved();
  fillLayout(layout);
  const { gate, up } = layout.host.expert(0, 1);
  for (const placed of [gate!, up]) {
    const { address, bytes } = placed.tensor;
    const scales = new Uint8Array(view(address, bytes)).filter((_, i) => i % BLOCK === 0);
    expect(scales.every((scale) => scale === SCALE)).toBe(true);
  }
});
