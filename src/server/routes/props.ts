import { openaiErrors } from '../errors.js';
import type { Route } from '../route.js';

/** What is served: the model, its template, and how it is divided. */
export const props: Route = {
  method: 'GET',
  path: '/props',
  errors: openaiErrors,
  async answer({ service }) {
    const { model, names, admission } = service;
    const decoder = model.info.architecture === 'decoder';
    return {
      model: model.info,
      names,
      chat_template: decoder ? await model.chatTemplate() : '',
      parallel: admission.parallel,
      queue: admission.queue,
    };
  },
};
