import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** Vitest's reporter for CI, which has what every test needs: a run that skipped one fails. What passed at its second try is named. */
export default class Honest implements Reporter {
  private vitest?: Vitest;

  onInit(vitest: Vitest): void {
    this.vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const chosenByName = this.vitest?.config.testNamePattern !== undefined;
    if (!process.env.CI || chosenByName) return;
    const flaky = modules
      .flatMap((module) => [...module.children.allTests('passed')])
      .filter((test) => test.diagnostic()?.flaky);
    for (const { module, fullName } of flaky)
      process.stderr.write(`passed at the second try: ${module.relativeModuleId} > ${fullName}\n`);
    const skipped = modules.flatMap((module) => [...module.children.allTests('skipped')]);
    for (const { module, fullName } of skipped)
      process.stderr.write(`skipped in CI: ${module.relativeModuleId} > ${fullName}\n`);
    if (skipped.length > 0) process.exitCode = 1;
  }
}
