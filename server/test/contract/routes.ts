import type { FastifyInstance } from 'fastify'

/** Returns every operation that is registered below /api/v2, also those that openapi.json omits: `GET /lists/{list_id}`. */
export function registeredOperations(app: FastifyInstance): string[] {
  const above: string[] = []
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part, methods] = /^(.*?)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
      if (part === undefined) return []
      const depth = indent.length / 4
      const path = `${depth === 0 ? '' : above[depth - 1]}${part}`
      above[depth] = path
      if (methods === undefined || !path.startsWith('/api/v2/')) return []
      const named = path.slice('/api/v2'.length).replace(/:(\w+)/g, '{$1}')
      const own = methods.split(', ').filter((method) => method !== 'HEAD')
      return own.map((method) => `${method} ${named}`)
    })
}
