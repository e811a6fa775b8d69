import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Json } from './mutate.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..'); // from dist/bench/fuzz/
const golden = join(root, 'test', 'golden');

/** A small model of a family. */
export interface Seed {
  /** Where its files lie. */
  folder: string;
  config: { [key: string]: Json };
}

/** A small model of each family. */
export const MODELS: readonly Seed[] = readdirSync(golden)
  .map((name) => join(golden, name))
  .filter((folder) => existsSync(join(folder, 'config.json')) && existsSync(join(folder, 'model.safetensors')))
  .map((folder) => ({
    folder,
    config: JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Seed['config'],
  }));

/** A folder in `folder` with links to a model's files, but for some that a target writes. */
export function linkedFolder(folder: string, name: string, model: string, without: readonly string[]): string {
  const linked = join(folder, name);
  rmSync(linked, { recursive: true, force: true });
  mkdirSync(linked);
  for (const file of readdirSync(model)) {
    if (!without.includes(file)) symlinkSync(join(model, file), join(linked, file));
  }
  return linked;
}

/** Chat templates. */
export const TEMPLATES: readonly string[] = [
  ...templatesIn(join(root, 'test', 'text', 'templates')),
  "{{ bos_token }}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}" +
    "{{ raise_exception('alternate') }}{% endif %}{{ '[INST] ' + m['content'] | trim + ' [/INST]' }}{% endfor %}",
  '{%- set ns = namespace(n=0, l=[]) %}{%- for m in messages[::-1] %}{% set ns.n = ns.n + m.content | length %}' +
    "{% set ns.l = ns.l + [m.role] %}{%- endfor %}{{ ns.l | join(', ') ~ ns.n }}{{ strftime_now('%d %b %Y') }}",
  '{% macro f(x, y=1) %}{{ x ~ y }}{% endmacro %}{% for i in range(3) %}{{ f(i, y=[i, none, true]) | upper }}' +
    '{% if loop.last %}{% break %}{% endif %}{% endfor %}{{ tools | tojson(indent=2) if tools is not none else {} }}',
  "{% for k, v in {'a': 1, 'b': 2.5}.items() %}{{ k }}={{ v / 2 }} {% endfor %}{{ messages | map(attribute='role') | list }}" +
    "{{ 'x y z'.split(' ')[1:] | first | default('n', true) | replace('y', 'w') }}{% generation %}g{% endgeneration %}",
];

function templatesIn(folder: string): string[] {
  return readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
}
