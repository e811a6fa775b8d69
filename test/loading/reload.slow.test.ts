import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';

const MODEL = 'test/golden/switch';

/** Bytes that are resident more behind 120 loads and closes of a model than behind 40. */
function growth(): number {
  const script = `
    import { loadEngine } from './dist/engine/load.js';
    const resident = (loads) => {
      for (let i = 0; i < loads; i++) {
        loadEngine('${MODEL}', { accelerator: 'none', dtype: 'f32', ctx: 64, threads: 1, profile: false }).close();
      }
      gc();
      return process.memoryUsage().rss;
    };
    const before = resident(40);
    console.log(resident(80) - before);`;
  return Number(execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script]));
}

it('leaves nothing of a model behind that is loaded and closed again and again', () => {
  expect(growth()).toBeLessThan(20e6);
});
