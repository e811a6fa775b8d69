/** A unit of a double array (Darts-clone): what of it is a label, whether a value ends here, where its children are. */
const LABEL = 0x8000_00ff;
const HAS_LEAF = 1 << 8;
const WIDE = 1 << 9;
const VALUE = 0x7fff_ffff;

/** Graphemes of more bytes are only looked up character by character. */
const LONGEST_GRAPHEME = 5;

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * SentencePiece's table of characters and what replaces them, as the Rust tokenizers apply it (normalizers/precompiled.rs
 * and the crate spm_precompiled): of what a grapheme begins with, the shortest that the table has replaces the whole.
 * @param charsmap in base64: the length of a double array in bytes, the array, and replacements that end with a 0
 * @throws Error: it is not such a table
 */
export function precompiled(charsmap: string): (text: string) => string {
  const bytes = Buffer.from(charsmap, 'base64');
  const size = bytes.length < 4 ? -1 : bytes.readUInt32LE();
  if (size <= 0 || size % 4 !== 0 || size > bytes.length - 4) throw new Error('precompiled_charsmap is no table');
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i));
  const replacements = bytes.subarray(4 + size);
  const replacement = (part: Uint8Array): string | undefined => {
    const at = shortestPrefix(units, part);
    if (at === undefined || at > replacements.length) return undefined;
    const end = replacements.indexOf(0, at);
    return decoder.decode(replacements.subarray(at, end < 0 ? undefined : end));
  };
  const normalized = (grapheme: string): string => {
    const part = encoder.encode(grapheme);
    const whole = part.length <= LONGEST_GRAPHEME ? replacement(part) : undefined;
    return whole ?? Array.from(grapheme, (c) => replacement(encoder.encode(c)) ?? c).join('');
  };
  return (text) => Array.from(graphemes.segment(text), ({ segment }) => normalized(segment)).join('');
}

/** The value of the shortest key with which `text` begins. */
function shortestPrefix(units: Uint32Array, text: Uint8Array): number | undefined {
  let at = childrenOf(0, units[0]!);
  for (const byte of text) {
    at ^= byte;
    const unit = units[at];
    if (byte === 0 || unit === undefined || (unit & LABEL) >>> 0 !== byte) return undefined;
    at = childrenOf(at, unit);
    const leaf = units[at];
    if (unit & HAS_LEAF) return leaf === undefined ? undefined : leaf & VALUE;
  }
  return undefined;
}

function childrenOf(at: number, unit: number): number {
  return at ^ ((unit >>> 10) << (unit & WIDE ? 8 : 0));
}
