import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from './folder.js';
import { readTensors } from './model.js';
import { type TensorToWrite, writeSafetensors } from './safetensors.js';

const HIDDEN = 64;

/** A row-major matrix. */
interface Matrix {
  rows: number;
  columns: number;
  values: Float64Array;
}

function random(rows: number, columns: number, seed: number): Matrix {
  const scale = 1 / Math.sqrt(columns);
  const values = Float64Array.from({ length: rows * columns }, (_, i) =>
    Math.fround(scale * Math.sin((i + 1) * 12.9898 + seed * 78.233)),
  );
  return { rows, columns, values };
}

function times(a: Matrix, b: Matrix): Matrix {
  const values = new Float64Array(a.rows * b.columns);
  for (let r = 0; r < a.rows; r++) {
    for (let k = 0; k < a.columns; k++) {
      for (let c = 0; c < b.columns; c++) {
        values[r * b.columns + c]! += a.values[r * a.columns + k]! * b.values[k * b.columns + c]!;
      }
    }
  }
  return { rows: a.rows, columns: b.columns, values };
}

function tensorOf(name: string, { rows, columns, values }: Matrix): TensorToWrite {
  const data = new Uint8Array(Float32Array.from(values).buffer);
  return { name, dtype: 'F32', shape: [rows, columns], data };
}

const EXPERT = /^(backbone\.layers\.(\d+)\.mixer)\.experts\.(\d+)\.(up|down)_proj\.weight$/;

/**
 * The golden model of Nemotron H with experts that read and write a latent of this size; and without one, where each
 * expert's matrices are their products with the projections, which is the same function.
 */
export function latentModels(size: number): { latent: string; folded: string } {
  const from = 'test/golden/nemotron_h';
  const config = JSON.parse(readFileSync(join(from, 'config.json'), 'utf8'));
  const [latent, folded]: TensorToWrite[][] = [[], []];
  for (const tensor of readTensors(join(from, 'model.safetensors'))) {
    const [, mixer, layer, expert, which] = EXPERT.exec(tensor.name) ?? [];
    if (which === undefined) {
      for (const list of [latent!, folded!]) list.push(tensor);
      continue;
    }
    const l = Number(layer);
    const to = random(size, HIDDEN, l);
    const back = random(HIDDEN, size, l + 0.5);
    if (expert === '0' && which === 'up') {
      latent!.push(tensorOf(`${mixer}.fc1_latent_proj.weight`, to), tensorOf(`${mixer}.fc2_latent_proj.weight`, back));
    }
    const width = config.moe_intermediate_size;
    const seed = 10 * l + Number(expert);
    const own = which === 'up' ? random(width, size, seed) : random(size, width, seed + 0.5);
    latent!.push(tensorOf(tensor.name, own));
    folded!.push(tensorOf(tensor.name, which === 'up' ? times(own, to) : times(back, own)));
  }
  const write = (own: object, tensors: TensorToWrite[]) => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, ...own }));
    writeSafetensors(join(dir, 'model.safetensors'), tensors);
    return dir;
  };
  return { latent: write({ moe_latent_size: size }, latent!), folded: write({}, folded!) };
}
