/** Control characters that stand for marks: of what is not ASCII the grammar engine keeps all out of a text, or none. */
export const MARKS = [
  ...'\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015',
];

/** Characters of an end that a text before it does not have behind each other: a text that is free of more is no freer. */
const TOLD_BY = 3;

/** EBNF of texts in which neither a mark is nor the beginning of `end`, so that it is certain where that comes. */
export function freeText(end: string): string {
  const told = [...end].slice(0, TOLD_BY);
  const until = told.findIndex((character) => MARKS.includes(character));
  const [first, second, third] = until < 0 ? told : told.slice(0, until);
  if (first === undefined) return `root ::= ${but()}*`;
  if (second === undefined) return `root ::= ${but(first)}*`;
  // A rule for each count of characters that were seen of it.
  const none = `${but(first)} root | ${quoted(first)} one`;
  const rules = [`root ::= "" | ${none}`];
  if (third === undefined) rules.push(`one ::= "" | ${but(first, second)} root | ${quoted(first)} one`);
  else {
    rules.push(`one ::= "" | ${but(first, second)} root | ${quoted(first)} one | ${quoted(second)} two`);
    rules.push(`two ::= "" | ${but(first, third)} root | ${quoted(first)} one`);
  }
  return rules.join('\n');
}

const code = (point: number) => `\\U${point.toString(16).padStart(8, '0')}`;
const quoted = (character: string) => `"${code(character.codePointAt(0)!)}"`;

/** Any character but marks and these; what is negated in the grammar engine's own way is so for ASCII alone. */
function but(...characters: readonly string[]): string {
  const points = [...new Set([...MARKS, ...characters].map((character) => character.codePointAt(0)!))];
  let from = 1;
  let ranges = '';
  for (const point of [...points.sort((a, b) => a - b), 0x110000]) {
    if (point > from) ranges += `${code(from)}-${code(point - 1)}`;
    from = point + 1;
  }
  return `[${ranges}]`;
}
