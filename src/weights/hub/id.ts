/** The name of a repository on a hub. */
export interface RepositoryId {
  /** `organisation/name`. */
  readonly id: string;
  /** Branch, tag or commit. */
  readonly revision: string;
}

/** Letters, digits, dots, dashes and underscores, as huggingface_hub's validate_repo_id allows; never a path. */
const PATTERN = /^(\w[\w.-]{0,95}\/\w[\w.-]{0,95})(?:@([\w./-]+))?$/;

/** Reads `organisation/name` or `organisation/name@revision`; undefined for anything else. */
export function parseRepositoryId(text: string): RepositoryId | undefined {
  const [, id, revision = 'main'] = PATTERN.exec(text) ?? [];
  return id === undefined ? undefined : { id, revision };
}
