import { type Command, Option } from 'commander';
import { FiddlerError } from '../errors.js';
import { BUNDLED_MODEL } from './package.js';

/** Flags of every command that is about a model. */
export interface ModelName {
  model: string;
}

const MEANING =
  'folder or GGUF file of the model, or its name on the Hugging Face hub: organisation/name, or organisation/name-GGUF:Q4_K_M';

/** How a model is named in every command. */
export function addModelName(command: Command): Command {
  const option = new Option('-m, --model <model>', MEANING);
  return command.addOption(option.default(BUNDLED_MODEL, 'the bundled mini-mixtral'));
}

/** As {@link addModelName}, where the model is all that a command is about: then it may be its argument, too. */
export function addModelArgument(command: Command): Command {
  return addModelName(command.argument('[model]', 'as --model')).hook('preAction', ({ args: [model] }) => {
    if (model === undefined) return;
    if (command.getOptionValueSource('model') === 'cli')
      throw new FiddlerError('usage', 'the model was given twice', 'give it as the argument or as --model');
    command.setOptionValueWithSource('model', model, 'cli');
  });
}
