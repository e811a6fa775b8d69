import { expect, it } from 'vitest';
import { describe as describeModel } from '../../src/loading/blueprint.js';
import { leftOut } from '../../src/loading/left-out.js';
import { folderSource } from '../../src/loading/source.js';

function lineOf(name: string, layers?: number): string[] {
  const source = folderSource(`test/golden/${name}`);
  const config = layers === undefined ? source.config : { ...source.config, num_hidden_layers: layers };
  const description = describeModel({ ...source, config });
  const checkpoint = source.open(description.spec, description.declarations);
  const line = leftOut(checkpoint, description);
  checkpoint.close();
  return line;
}

it('says nothing where all of a checkpoint is computed with', () => {
  for (const name of ['qwen2_moe', 'gpt_oss', 'gpt_oss-mxfp4', 'deepseek_v3', 'mistral4'])
    expect(lineOf(name)).toEqual([]);
});

it('says which parts are left out', () => {
  expect(lineOf('qwen3_vl_moe')).toEqual(['left out: model.visual (27 tensors)']);
});

it('names layers behind those of the model, which predict further tokens', () => {
  expect(lineOf('qwen3_moe', 1)).toEqual(['left out: model.layers.1 (57 tensors)']);
});
