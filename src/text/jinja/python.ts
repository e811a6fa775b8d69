/** A node of @huggingface/jinja's syntax tree, which has no exported types. */
export type Node = { type?: string; [field: string]: unknown };

/** A value of a running template, as @huggingface/jinja has them. */
interface Value {
  type: string;
  value: unknown;
}

const EXPRESSIONS: ReadonlySet<string | undefined> = new Set([
  ...['Identifier', 'MemberExpression', 'CallExpression', 'BinaryExpression', 'UnaryExpression', 'FilterExpression'],
  ...['TestExpression', 'SelectExpression', 'Ternary', 'IntegerLiteral', 'FloatLiteral', 'ArrayLiteral'],
  ...['TupleLiteral', 'ObjectLiteral'],
]);

/** Parts of statements whose expressions are written out. */
const BODIES = ['body', 'alternate', 'defaultBlock'];

/** Names that no template can use, to functions for {@link printAsPython}. */
export const PRINTS: Readonly<Record<string, (values: readonly Value[]) => unknown>> = {
  'py.str': ([value]) => str(value!),
  'py.strings': ([value]) => (value!.type === 'ArrayValue' ? (value!.value as Value[]).map(str) : value!.value),
};

/**
 * Has a parsed template write values as Python does, `True`, `None` and `['a', 1.0]`: @huggingface/jinja 0.5 writes JSON,
 * and nothing for None. It concerns what is written out, `~`, and the filters `string` and `join`.
 */
export function printAsPython(tree: object): void {
  const node = tree as Node;
  for (const child of Object.values(node)) {
    if (typeof child === 'object' && child !== null) printAsPython(child);
  }
  for (const key of BODIES) {
    const body = node[key];
    if (Array.isArray(body)) node[key] = body.map((n: Node) => (EXPRESSIONS.has(n.type) ? call('py.str', n) : n));
  }
  if (node.type === 'BinaryExpression' && (node.operator as Node).value === '~') {
    node.left = call('py.str', node.left as Node);
    node.right = call('py.str', node.right as Node);
  } else if (node.type === 'FilterExpression') {
    const { filter, operand } = node as { filter: Node; operand: Node };
    const name = (filter.type === 'CallExpression' ? (filter.callee as Node) : filter).value;
    if (name === 'string') node.operand = call('py.str', operand);
    const plain = filter.type === 'Identifier' || (filter.args as Node[]).every((n) => !/Keyword/.test(n.type ?? ''));
    if (name === 'join' && plain) node.operand = call('py.strings', operand);
  }
}

/** A list keeps the types of its elements, where a bare argument becomes a plain value. */
function call(name: string, argument: Node): Node {
  const list = { type: 'ArrayLiteral', value: [argument] };
  return { type: 'CallExpression', callee: { type: 'Identifier', value: name }, args: [list] };
}

/** Python's str() of a value. */
function str(value: Value): string {
  return value.type === 'StringValue' ? (value.value as string) : value.type === 'UndefinedValue' ? '' : repr(value);
}

/** Python's repr() of a value. */
function repr({ type, value }: Value): string {
  switch (type) {
    case 'StringValue':
      return quoted(value as string);
    case 'BooleanValue':
      return value ? 'True' : 'False';
    case 'NullValue':
      return 'None';
    case 'UndefinedValue':
      return 'Undefined';
    case 'FloatValue':
      return float(value as number);
    case 'ArrayValue':
      return `[${(value as Value[]).map(repr).join(', ')}]`;
    case 'TupleValue': {
      const items = (value as Value[]).map(repr);
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
    }
    case 'ObjectValue':
      return `{${[...(value as Map<string, Value>)].map(([key, v]) => `${quoted(key)}: ${repr(v)}`).join(', ')}}`;
    default:
      return String(value);
  }
}

/** In exponents Python has two digits at least, and begins at 1e16 and below 1e-4. */
function float(value: number): string {
  const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (Number.isFinite(value) && (exponent >= 16 || exponent < -4)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
  }
  if (Object.is(value, -0)) return '-0.0';
  if (Number.isFinite(value)) return Number.isInteger(value) ? `${value}.0` : `${value}`;
  return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** In single quotes, unless the text has those alone. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replaceAll(/[\\\n\r\t]/g, (c) => ESCAPES[c]!).replaceAll(quote, `\\${quote}`);
  return `${quote}${escaped.replaceAll(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)}${quote}`;
}
