/*
 * Runs the built command once for each list of arguments on standard input, in this one process, and writes what each did:
 * a process of its own takes longer to start than to refuse an option.
 */
import { readFileSync } from 'node:fs';

const write = process.stdout.write.bind(process.stdout);
const given = ['uncaughtException', 'SIGINT', 'SIGTERM'];
const outcomes = [];
for (const args of JSON.parse(readFileSync(0, 'utf8'))) {
  const outcome = { code: 0, signal: null, stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    process[name].write = (text) => {
      outcome[name] += text;
      return true;
    };
  }
  process.argv = [process.execPath, 'dist/cli/main.js', ...args];
  process.exitCode = undefined;
  await import(`../../dist/cli/main.js?${outcomes.length}`);
  outcome.code = process.exitCode ?? 0;
  for (const event of given) process.removeAllListeners(event);
  for (const name of ['stdout', 'stderr']) process[name].removeAllListeners('error');
  outcomes.push(outcome);
}
process.exitCode = 0;
write(JSON.stringify(outcomes));
