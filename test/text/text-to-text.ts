const special = (content: string, id: number) => ({ id, content, special: true, normalized: false });

/** Pieces and their scores: a word, parts of words, and letters. */
const PIECES: [string, number][] = [
  ['▁bee', -2],
  ['▁honey', -2.5],
  ['▁', -3],
  ['s', -4],
  ...[...'abcdefghijklmnopqrtuvwxyz.,!'].map((letter): [string, number] => [letter, -10]),
];
const CONTROL: [string, number][] = [
  ['<pad>', 0],
  ['</s>', 0],
  ['<unk>', 0],
];
const SENTINELS = 4;

/**
 * tokenizer.json of a text-to-text model, made as T5's in transformers is: Unigram, the end token appended, sentinels as
 * special tokens at the end, the first of them last.
 */
export function textToTextJson(): Record<string, unknown> {
  const sentinels = Array.from({ length: SENTINELS }, (_, i) => `<extra_id_${SENTINELS - 1 - i}>`);
  const vocab = [...CONTROL, ...PIECES, ...sentinels.map((name): [string, number] => [name, 0])];
  const metaspace = { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' };
  return {
    version: '1.0',
    added_tokens: [
      ...CONTROL.map(([content], id) => special(content, id)),
      ...sentinels.map((content) => special(content, idOfPiece(content, vocab))),
    ],
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, metaspace] },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
      pair: [],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: 2, vocab },
  };
}

/** Id of a piece or a token of that tokenizer. */
export function pieceId(piece: string): number {
  return idOfPiece(piece, (textToTextJson().model as { vocab: [string, number][] }).vocab);
}

function idOfPiece(piece: string, vocab: readonly [string, number][]): number {
  const id = vocab.findIndex(([name]) => name === piece);
  if (id < 0) throw new Error(`there is no piece ${piece}`);
  return id;
}
