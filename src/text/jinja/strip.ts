import type { Node } from './python.js';

type Strip = (text: string, characters: string) => string;

/** Names that no template can use, to functions for {@link stripWithArguments}. */
export const STRIPS: Readonly<Record<string, Strip>> = {
  'str.strip': (text, characters) => lstrip(rstrip(text, characters), characters),
  'str.lstrip': lstrip,
  'str.rstrip': rstrip,
};

/**
 * Turns calls such as `text.strip('\n')` in a parsed template into calls of `STRIPS`: @huggingface/jinja 0.5 removes all
 * white space whatever the argument, where Python removes only the characters given.
 */
export function stripWithArguments(tree: object): void {
  const node = tree as Node;
  for (const child of Object.values(node)) {
    if (typeof child === 'object' && child !== null) stripWithArguments(child);
  }
  if (node.type !== 'CallExpression') return;
  const { callee, args } = node as { callee: Node; args: Node[] };
  if (callee.type !== 'MemberExpression' || callee.computed || args.length !== 1) return;
  const name = `str.${(callee.property as Node).value}`;
  if (!(name in STRIPS)) return;
  node.callee = { type: 'Identifier', value: name };
  node.args = [callee.object, ...args];
}

function lstrip(text: string, characters: string): string {
  const points = [...text];
  const first = points.findIndex((point) => !characters.includes(point));
  return first < 0 ? '' : points.slice(first).join('');
}

function rstrip(text: string, characters: string): string {
  const points = [...text];
  return points.slice(0, points.findLastIndex((point) => !characters.includes(point)) + 1).join('');
}
