import { expect, it } from 'vitest';
import { fillLayout } from '../../src/engine/load.js';
import { QUICK } from '../../src/experts/repeat.js';
import { layOut } from '../../src/loading/layout.js';
import { folderSource } from '../../src/loading/source.js';
import { api } from '../../src/native/ggml/api.js';
import type { Tensor } from '../../src/native/ggml/tensor.js';
import { measureRates } from '../../src/pace/measure.js';

it.each(['granitemoehybrid', 'nemotron_h'])(
  'leaves numbers in caches and states, whatever lay in the buffers of activations: %s',
  (name) => {
    const source = folderSource(`test/golden/${name}`);
    const layout = layOut(source, { accelerator: 'none', dtype: 'f32', ctx: 256, threads: 1, profile: false });
    try {
      fillLayout(layout);
      const { declarations } = layout.blueprint;
      for (const { pointer, bytes } of [layout.network.expertSum, layout.network.expertInput.input]) {
        api().tensorMemset(pointer, 0xff, 0, bytes); // float32 that are no numbers
      }
      measureRates(layout, { ...QUICK, lengths: [1, 8] });
      for (const { tensor } of [...declarations.states, ...declarations.caches]) {
        expect(floatsOf(tensor).every(Number.isFinite)).toBe(true);
      }
    } finally {
      layout.close();
    }
  },
);

function floatsOf({ pointer, bytes }: Tensor): Float32Array {
  const values = new Float32Array(bytes / 4);
  api().tensorGet(pointer, values, 0, bytes);
  return values;
}
