import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The layers of src/, top to bottom: a folder of src/ or a file directly in it. A file imports from its own layer's
 * folder and from any row below, never from a neighbour in its row.
 */
export const LAYERS: readonly (readonly string[])[] = [
  ['cli'],
  ['server'],
  ['index'],
  ['thread'],
  ['text'],
  ['planning'],
  ['engine'],
  ['pace'],
  ['loading'],
  ['network'],
  ['sampling'],
  ['models'],
  ['experts'],
  ['devices'],
  ['weights'],
  ['native'],
  ['options', 'report'],
  ['file-lock'],
  ['errors', 'linked', 'sleep'],
];

/** The one layer that may import each of these packages. */
const OWNED_PACKAGES: Readonly<Record<string, string>> = { koffi: 'native' };

/** Static imports and re-exports, which the formatter keeps at a line's beginning, and dynamic imports; types too. */
const IMPORT =
  /^(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

export interface Findings {
  /** Relative imports and package imports read. */
  readonly imports: number;
  /** One line for each import that breaks a rule, and one for each cycle. */
  readonly problems: readonly string[];
}

/** Checks all imports of `sources`: path relative to src/, with forward slashes, to the file's text. */
export function checkImports(sources: ReadonlyMap<string, string>): Findings {
  const problems: string[] = [];
  const graph = new Map<string, string[]>();
  let imports = 0;
  for (const [file, source] of sources) {
    const targets: string[] = [];
    for (const specifier of specifiers(source)) {
      imports++;
      const target = specifier.startsWith('.') ? resolve(file, specifier) : undefined;
      if (target !== undefined && sources.has(target)) targets.push(target);
      const problem = target === undefined ? packageProblem(file, specifier) : layerProblem(file, target, sources);
      if (problem) problems.push(problem);
    }
    if (row(file) < 0) problems.push(`${file}: ${layer(file)} is in no layer`);
    graph.set(file, targets);
  }
  return { imports, problems: [...problems, ...cycles(graph)] };
}

function specifiers(source: string): string[] {
  return [...source.matchAll(IMPORT)].map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!);
}

/** The source file that a relative import names by its compiled name. */
function resolve(file: string, specifier: string): string {
  return posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts');
}

const layer = (file: string): string => file.split('/')[0]!.replace(/\.ts$/, '');

const row = (file: string): number => LAYERS.findIndex((names) => names.includes(layer(file)));

function packageProblem(file: string, specifier: string): string | undefined {
  const owner = OWNED_PACKAGES[specifier.split('/')[0]!];
  if (owner === undefined || owner === layer(file)) return undefined;
  return `${file} imports ${specifier}, which only ${owner} may`;
}

function layerProblem(file: string, target: string, sources: ReadonlyMap<string, string>): string | undefined {
  if (!sources.has(target))
    return target.endsWith('.ts') ? `${file} imports ${target}, which does not exist` : undefined;
  if (layer(file) === layer(target) || row(target) > row(file)) return undefined;
  return `${file} imports ${target}, but ${layer(target)} is not below ${layer(file)}`;
}

/** One line for each import that closes a cycle on a depth-first walk: none exactly where the graph has no cycle. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push(`cycle: ${[...path.slice(start), file].join(' → ')}`);
    if (start >= 0 || done.has(file)) return;
    path.push(file);
    for (const target of graph.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}

function main(): void {
  const src = fileURLToPath(new URL('../../src/', import.meta.url)); // from dist/bench/
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'))
    .sort();
  const { imports, problems } = checkImports(new Map(files.map((file) => [file, readFileSync(src + file, 'utf8')])));
  for (const problem of problems) console.error(problem);
  console.log(`${files.length} files, ${imports} imports: ${problems.length === 0 ? 'in order' : 'not in order'}`);
  if (files.length === 0 || problems.length > 0) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
