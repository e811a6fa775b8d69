/** The name of a model on a hub. */
export interface RepositoryId {
  /** `organisation/name`. */
  readonly id: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** Which of several files of a model is meant, such as `Q4_K_M`. */
  readonly variant?: string;
}

/** Letters, digits, dots, dashes and underscores, as huggingface_hub's validate_repo_id allows; never a path. */
const PATTERN = /^(\w[\w.-]{0,95}\/\w[\w.-]{0,95})(?:@([\w./-]+))?(?::(\w[\w./-]*))?$/;

/** Reads `organisation/name`, with or without `@revision` and `:variant`; undefined for anything else. */
export function parseRepositoryId(text: string): RepositoryId | undefined {
  const [, id, revision = 'main', variant] = PATTERN.exec(text) ?? [];
  if (id === undefined || `${revision}/${variant}`.split('/').includes('..')) return undefined;
  return { id, revision, ...(variant !== undefined && { variant }) };
}
