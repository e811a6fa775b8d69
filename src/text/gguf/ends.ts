import { TokenType, type Vocabulary } from './vocabulary.js';

/** Tokens that end an answer whatever the file says of them, as llama.cpp knows them. */
const ENDS = [
  '<|eot_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|return|>',
  '<|call|>',
  '<|flush|>',
  '<|calls|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '</s>',
  '<|eom_id|>',
  '<EOT>',
  '_<EOT>',
  '[EOT]',
  '[EOS]',
  '<|end_of_text|>',
  '<end_of_utterance>',
  '<eos>',
  '<turn|>',
  '<|tool_response>',
  '<｜end▁of▁sentence｜>',
  '[e~[',
];

/** Tokens that fill in the middle of code, by purpose, where the file does not name one; the first three end nothing. */
const MIDDLE: Readonly<Record<string, readonly string[]>> = {
  fimPre: [
    '<|fim_prefix|>',
    '<fim-prefix>',
    '<fim_prefix>',
    '<｜fim▁begin｜>',
    '<PRE>',
    '▁<PRE>',
    '<|code_prefix|>',
    '<|prefix|>',
  ],
  fimSuf: [
    '<|fim_suffix|>',
    '<fim-suffix>',
    '<fim_suffix>',
    '<｜fim▁hole｜>',
    '<SUF>',
    '▁<SUF>',
    '<|code_suffix|>',
    '<|suffix|>',
  ],
  fimMid: [
    '<|fim_middle|>',
    '<fim-middle>',
    '<fim_middle>',
    '<｜fim▁end｜>',
    '<MID>',
    '▁<MID>',
    '<|code_middle|>',
    '<|middle|>',
  ],
  fimPad: ['<|fim_pad|>', '<fim-pad>', '<fim_pad>', '<PAD>', '[PAD]'],
  fimRep: ['<|fim_repo|>', '<|repo_name|>', '<fim-repo>', '<REPO>', '<reponame>'],
  fimSep: ['<|file_sep|>'],
};

/** Tokens that are control tokens whatever the file says of them. */
const CONTROL: ReadonlySet<string> = new Set([...ENDS, ...Object.values(MIDDLE).flat()]);

/** Ids after which generation ends: those that the file names, and those known by their text (llama-vocab.cpp). */
export function endIds(vocabulary: Vocabulary): Set<number> {
  const { tokens, ids } = vocabulary;
  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const ends = new Set<number | undefined>(ENDS.map((token) => idOf.get(token)));
  for (const purpose of ['eos', 'eot', 'eom'] as const) ends.add(ids[purpose]);
  for (const purpose of ['fimPad', 'fimRep', 'fimSep'] as const) {
    ends.add(ids[purpose] ?? idOf.get(MIDDLE[purpose]!.find((text) => idOf.has(text)) ?? ''));
  }
  for (const token of withinAnswers(idOf, ends)) ends.delete(idOf.get(token));
  ends.delete(undefined);
  return ends as Set<number>;
}

/** Of tokens that look like an end, those that are none beside the others. */
function withinAnswers(idOf: ReadonlyMap<string, number>, ends: ReadonlySet<number | undefined>): string[] {
  const has = (token: string) => idOf.has(token) && ends.has(idOf.get(token));
  const calls = has('<|call|>') || has('<|calls|>');
  const found: string[] = [];
  if (calls && (has('<|return|>') || has('<|flush|>'))) found.push('<|end|>'); // ends a message (o200k_harmony, Solar)
  if (has('<|tool_response>')) found.push('</s>'); // a plain token of Gemma 4
  return found;
}

/** What a token is for a text: one of control, one that is found whole, or one of the others. */
export function roleOf(token: string, type: number): 'control' | 'whole' | undefined {
  if (type === TokenType.control || type === TokenType.unknown || CONTROL.has(token)) return 'control';
  return type === TokenType.userDefined ? 'whole' : undefined;
}
