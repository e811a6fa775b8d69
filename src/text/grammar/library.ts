import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as XGrammar from '@mlc-ai/web-xgrammar';

/** The grammar engine. Its package says that it is a module, and holds a script of the older kind, so that Node cannot import it. */
export function loadXGrammar(): typeof XGrammar {
  const require = createRequire(import.meta.url);
  const file = require.resolve('@mlc-ai/web-xgrammar');
  const module = { exports: {} };
  const script = new Function('exports', 'module', 'require', '__filename', readFileSync(file, 'utf8'));
  script(module.exports, module, require, file);
  return module.exports as typeof XGrammar;
}
