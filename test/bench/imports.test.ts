import { describe, expect, it } from 'vitest';
import { checkImports } from '../../bench/imports.js';

const check = (sources: Record<string, string>) => checkImports(new Map(Object.entries(sources)));

describe('the import checker', () => {
  it('accepts imports of the own folder, of lower layers and of packages', () => {
    const { imports, problems } = check({
      'cli/main.ts': `import { z } from 'zod';\nimport {\n  load,\n} from '../index.js';\nimport './run.js';\n`,
      'cli/run.ts': `#!/usr/bin/env node\nexport * from '../engine/load.js';\n`,
      'index.ts': `export { load } from './engine/load.js';\nexport type { Code } from './errors.js';\n`,
      'engine/load.ts': `import { moe } from '../experts/policies/static.js';\nimport '../models/index.js';\n`,
      'experts/policies/static.ts': `import { g } from '../../native/api.js';\nexport const n = 'from "x"';\n`,
      'models/index.ts': `const later = await import('../weights/index.js');\n`,
      'weights/index.ts': `import pkg from '../../package.json' with { type: 'json' };\n`,
      'native/api.ts': `import koffi from 'koffi';\nimport type { Code } from '../errors.js';\n`,
      'errors.ts': `export type Code = 'a';\n`,
    });
    expect(problems).toEqual([]);
    expect(imports).toBe(13);
  });

  it('finds a cycle, type imports included, and shows its path', () => {
    const { problems } = check({
      'engine/a.ts': `import { b } from './b.js';\n`,
      'engine/b.ts': `import type {\n  C,\n} from './deep/c.js';\n`,
      'engine/deep/c.ts': `export { a } from '../a.js';\n`,
      'engine/d.ts': `import './a.js';\n`,
    });
    expect(problems).toEqual(['cycle: engine/a.ts → engine/b.ts → engine/deep/c.ts → engine/a.ts']);
  });

  it('finds each of several cycles, and a file that imports itself', () => {
    const { problems } = check({
      'text/a.ts': `import './b.js';\nimport './c.js';\n`,
      'text/b.ts': `import './a.js';\n`,
      'text/c.ts': `import './c.js';\nimport './a.js';\n`,
    });
    expect(problems).toEqual([
      'cycle: text/a.ts → text/b.ts → text/a.ts',
      'cycle: text/c.ts → text/c.ts',
      'cycle: text/a.ts → text/c.ts → text/a.ts',
    ]);
  });

  it.each([
    ['weights/a.ts', '../models/x.js', 'models/x.ts', 'models is not below weights'],
    ['experts/a.ts', '../models/x.js', 'models/x.ts', 'models is not below experts'],
    ['weights/a.ts', '../devices/x.js', 'devices/x.ts', 'devices is not below weights'],
    ['errors.ts', './native/x.js', 'native/x.ts', 'native is not below errors'],
    ['cli/a.ts', '../helpers/x.js', 'helpers/x.ts', 'helpers is in no layer'],
  ])('finds %s importing %s', (file, specifier, target, problem) => {
    for (const source of [
      `import '${specifier}';`,
      `export type { X } from '${specifier}';`,
      `f(import('${specifier}'));`,
    ]) {
      expect(check({ [file]: source, [target]: '' }).problems.join('\n')).toContain(problem);
    }
  });

  it('finds koffi outside src/native and a file that does not exist', () => {
    expect(check({ 'devices/a.ts': `import koffi from 'koffi';` }).problems).toEqual([
      'devices/a.ts imports koffi, which only native may',
    ]);
    expect(check({ 'cli/a.ts': `import './gone.js';` }).problems).toEqual([
      'cli/a.ts imports cli/gone.ts, which does not exist',
    ]);
  });
});
