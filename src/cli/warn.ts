/** Prints a warning as one line on stderr. */
export function warn(line: string): void {
  process.stderr.write(`fiddler: warning: ${line}\n`);
}
