import type { JsonObject } from '../../weights/config.js';

/** A token's id and what it is called. */
type Named = readonly [content: string, id: number];

/**
 * A post-processor whose tokens are called as those with their ids: the Rust tokenizers add ids, and
 * @huggingface/tokenizers what is called so.
 * @param contentOf what the token with an id is called
 * @throws Error where one adds to what another added, which the two do otherwise
 */
export function namedByIds(step: unknown, contentOf: (id: number) => string): unknown {
  if (typeof step !== 'object' || step === null) return step;
  const { type, processors, single, special_tokens: known, cls, sep } = step as JsonObject;
  if (type === 'Sequence' && Array.isArray(processors)) {
    if (processors.filter((one) => one?.type !== 'ByteLevel').length > 1) {
      throw new Error('Unknown PostProcessor type: a Sequence of several that add tokens');
    }
    return { ...step, processors: processors.map((one) => namedByIds(one, contentOf)) };
  }
  if (type === 'BertProcessing' || type === 'RobertaProcessing') {
    const called = ([, id]: Named) => [contentOf(id), id];
    return { ...step, cls: called(cls as Named), sep: called(sep as Named) };
  }
  if (type !== 'TemplateProcessing' || !Array.isArray(single)) return step;
  return { ...step, single: single.flatMap((piece) => tokensOf(piece, known as SpecialTokens | undefined, contentOf)) };
}

type SpecialTokens = Readonly<Record<string, { ids: readonly number[] }>>;

/** A piece of a template; one special token may stand for several. */
function tokensOf(
  piece: JsonObject,
  known: SpecialTokens | undefined,
  contentOf: (id: number) => string,
): JsonObject[] {
  const special = piece.SpecialToken as { id: string } | undefined;
  const ids = special && known?.[special.id]?.ids;
  if (!ids) return [piece]; // a text, or a token called so
  return ids.map((id) => ({ SpecialToken: { ...special, id: contentOf(id) } }));
}
