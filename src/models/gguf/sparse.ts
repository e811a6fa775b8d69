import type { JsonObject } from '../../weights/config.js';
import type { GgufKeys } from './keys.js';

/** What a file says of lightning indexers. */
export function indexerConfig(keys: GgufKeys): JsonObject {
  return {
    index_n_heads: keys.required('attention.indexer.head_count'),
    index_head_dim: keys.required('attention.indexer.key_length'),
    index_topk: keys.required('attention.indexer.top_k'),
  };
}

/** Names of the tensors of such an indexer. */
export const INDEXER_NAMES: Readonly<Record<string, string>> = {
  'self_attn.indexer.wq_b': 'indexer.attn_q_b',
  'self_attn.indexer.wk': 'indexer.attn_k',
  'self_attn.indexer.k_norm': 'indexer.k_norm',
  'self_attn.indexer.weights_proj': 'indexer.proj',
};
