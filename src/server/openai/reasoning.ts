/** What a template may know of how much a model is to reason; `none` switches it off. */
export function effortVariables(effort: string | null | undefined): Record<string, unknown> {
  if (!effort) return {};
  return effort === 'none' ? { enable_thinking: false } : { reasoning_effort: effort };
}
