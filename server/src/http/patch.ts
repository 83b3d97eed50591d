import type { FastifyInstance, RouteOptions } from 'fastify'

/** Registers a PATCH beside each PUT that is registered later, because every PUT changes only the keys in the request. */
export function usePatch(app: FastifyInstance) {
  app.addHook('onRoute', function (route) {
    if (route.method !== 'PUT') return
    const { path: _, routePath, prefix: __, schema, ...options } = route
    const patch: RouteOptions = { ...options, method: 'PATCH', url: routePath }
    this.route(schema ? { ...patch, schema: schemaOfPatch(schema) } : patch)
  })
}

function schemaOfPatch({ operationId = '', summary, description, ...schema }: NonNullable<RouteOptions['schema']>) {
  return {
    ...schema,
    description: ['The same as PUT.', description].join(' ').trim(),
    operationId: operationId.replace(/^[a-z]+/, 'patch'),
    summary: `${summary} (PATCH)`,
    'x-extension': true,
  }
}
