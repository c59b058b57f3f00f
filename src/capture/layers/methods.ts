import { methodNotAllowed, NOT_FOUND } from '../answers.ts';
import type { Layer } from '../exchange.ts';

/** Turns away what no route answers to. HEAD is served where GET is. */
export const methods: Layer = (next) => (exchange) => {
  const { request, route } = exchange;
  if (route.type === 'not-found') return Promise.resolve(NOT_FOUND);
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  if (route.methods.some((one) => one === method)) return next(exchange);
  return Promise.resolve(methodNotAllowed([...route.methods, 'OPTIONS']));
};
