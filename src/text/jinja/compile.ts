import { Template } from '@huggingface/jinja';
import { type Node, PRINTS, printAsPython } from './python.js';
import { STRIPS, stripWithArguments } from './strip.js';

/** What a template throws on purpose, by `raise_exception`. */
export class Refusal extends Error {}

/** As jinja2's sandbox has it. */
const LONGEST_RANGE = 100_000;

/** Names that no template can use, to what they call in place of the library's own. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  ...STRIPS,
  ...PRINTS,
  'py.raise_exception': (message: unknown) => {
    throw new Refusal(String(message));
  },
  'py.range': range,
};

/**
 * Parses a template as transformers does (jinja2 with `trim_blocks` and `lstrip_blocks`), line ends of any kind.
 * @returns what renders it with variables; throws {@link Refusal}, or whatever the library throws
 */
export function compile(source: string): (variables: Readonly<Record<string, unknown>>) => string {
  const template = new Template(source.replaceAll(/\r\n?/g, '\n'));
  stripWithArguments(template.parsed);
  printAsPython(template.parsed);
  renameGlobals(template.parsed);
  return (variables) => template.render({ ...GLOBALS, ...variables });
}

/** The library refuses other values for names that it declares itself. */
function renameGlobals(tree: object): void {
  const node = tree as Node;
  for (const child of Object.values(node)) {
    if (typeof child === 'object' && child !== null) renameGlobals(child);
  }
  if (node.type !== 'CallExpression') return;
  const callee = node.callee as Node;
  const name = `py.${callee.value}`;
  if (callee.type === 'Identifier' && Object.hasOwn(GLOBALS, name)) node.callee = { ...callee, value: name };
}

function range(first: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, first] : [first, stop];
  if (![from, to, step].every(Number.isInteger) || step === 0)
    throw new Error('range() takes whole numbers, no step 0');
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (length > LONGEST_RANGE) throw new Error(`range() of ${length} numbers, more than ${LONGEST_RANGE}`);
  return Array.from({ length }, (_, i) => from + i * step);
}
