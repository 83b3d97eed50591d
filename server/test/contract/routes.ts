import type { FastifyInstance } from 'fastify'

/** Returns the operations registered below /api/v2, including those that openapi.json omits, as `GET /lists/{list_id}`. */
export function registeredOperations(app: FastifyInstance): string[] {
  const parents: string[] = []
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part, methods] = /^(.*?)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
      if (part === undefined) return []
      const depth = indent.length / 4
      const path = `${depth === 0 ? '' : parents[depth - 1]}${part}`
      parents[depth] = path
      if (methods === undefined || !path.startsWith('/api/v2/')) return []
      const named = path.slice('/api/v2'.length).replace(/:(\w+)/g, '{$1}')
      const supported = methods.split(', ').filter((method) => method !== 'HEAD')
      return supported.map((method) => `${method} ${named}`)
    })
}
