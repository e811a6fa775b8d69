/** Units that a node's children have for themselves: one for each byte. */
const BLOCK = 256;
const LEAF = 2 ** 31;

interface Node {
  children: Map<number, Node>;
  value?: number;
}

/** A table of SentencePiece's, in base64: what replaces each key, whose double array has room for every byte. */
export function charsmapOf(replacements: Readonly<Record<string, string>>): string {
  const root: Node = { children: new Map() };
  const texts: Buffer[] = [];
  let length = 0;
  for (const [key, replacement] of Object.entries(replacements)) {
    let node = root;
    for (const byte of Buffer.from(key)) {
      const next: Node = node.children.get(byte) ?? { children: new Map() };
      node.children.set(byte, next);
      node = next;
    }
    node.value = length;
    const text = Buffer.from(`${replacement}\0`);
    texts.push(text);
    length += text.length;
  }
  const units: number[] = [];
  place(units, root, 0, 0);
  const array = Buffer.alloc(4 * units.length);
  for (const [i, unit] of units.entries()) array.writeUInt32LE(unit >>> 0, 4 * i);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(array.length);
  return Buffer.concat([size, array, ...texts]).toString('base64');
}

/** Gives a node's children a block, and says at the node where that is. */
function place(units: number[], node: Node, at: number, label: number): void {
  const block = Math.max(BLOCK, units.length);
  for (let i = units.length; i < block + BLOCK; i++) units.push(0);
  units[at] = label + (node.value === undefined ? 0 : 1 << 8) + ((at ^ block) << 10);
  if (node.value !== undefined) units[block] = LEAF + node.value;
  for (const [byte, child] of node.children) place(units, child, block ^ byte, byte);
}
