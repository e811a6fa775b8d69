import { openaiErrors } from '../errors.js';
import type { Route } from '../route.js';

/** When this process began, as OpenAI's API says when a model was made; seconds. */
const CREATED = Math.floor(Date.now() / 1000);

/** The names under which the model is served. */
export const models: Route = {
  method: 'GET',
  path: '/v1/models',
  errors: openaiErrors,
  answer: ({ service: { names, model } }) => ({
    object: 'list',
    data: names.map((id) => ({
      id,
      object: 'model',
      created: CREATED,
      owned_by: 'fiddler',
      max_model_len: model.info.context,
    })),
  }),
};
