import type { FastifyInstance } from 'fastify'

/** Returns the methods of every registered path, with the paths as routes write them (`/lists/:list_id`). */
export function registeredPaths(app: FastifyInstance): Record<string, string[]> {
  const parents: string[] = []
  const paths: Record<string, string[]> = {}
  for (const line of app.printRoutes({ commonPrefix: false }).split('\n')) {
    const [, indent = '', part, methods] = /^(.*?)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
    if (part === undefined) continue
    const depth = indent.length / 4
    const path = `${depth === 0 ? '' : parents[depth - 1]}${part}`
    parents[depth] = path
    if (methods !== undefined) paths[path] = [...(paths[path] ?? []), ...methods.split(', ')]
  }
  return paths
}

/** Returns the operations registered below /api/v2, including those that openapi.json omits, as `GET /lists/{list_id}`. */
export function registeredOperations(app: FastifyInstance): string[] {
  return Object.entries(registeredPaths(app)).flatMap(([path, methods]) => {
    if (!path.startsWith('/api/v2/')) return []
    const named = path.slice('/api/v2'.length).replace(/:(\w+)/g, '{$1}')
    return methods.filter((method) => method !== 'HEAD').map((method) => `${method} ${named}`)
  })
}
