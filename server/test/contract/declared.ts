import type { FastifyInstance } from 'fastify'
import { describedOperations } from './description.ts'

type Declared = { pattern: RegExp; method: string; statuses: Set<string> }

const declaredBy = new WeakMap<FastifyInstance, Declared[]>()

/** Returns why openapi.json does not declare the status of a response; undefined if it does, or has no such operation. */
export function undeclaredStatus(app: FastifyInstance, method: string, url: string, status: number) {
  // as the server reads it: without the query, and without segments such as `..`
  const path = URL.parse(url, 'http://localhost')?.pathname.replace(/\/+$/, '') ?? ''
  const operation = declaredOf(app).find((each) => each.method === method && each.pattern.test(path))
  if (operation === undefined || operation.statuses.has(String(status))) return undefined
  return `openapi.json does not declare ${status} for ${method} ${path}`
}

function declaredOf(app: FastifyInstance): Declared[] {
  const known = declaredBy.get(app)
  if (known) return known
  const declared = describedOperations(app)
    // a path without parameters takes precedence
    .sort((a, b) => countParameters(a.path) - countParameters(b.path))
    .map(({ name, path, responses }) => ({
      pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
      method: name.split(' ')[0] ?? '',
      statuses: new Set(Object.keys(responses)),
    }))
  declaredBy.set(app, declared)
  return declared
}

function countParameters(path: string): number {
  return path.split('{').length
}
