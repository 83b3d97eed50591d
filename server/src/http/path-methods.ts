type KnownPath = { pattern: RegExp; rank: string; methods: Set<string> }

/** The methods of the registered paths, for the header `Allow`. */
export class PathMethods {
  readonly #byPath = new Map<string, KnownPath>()
  #ranked: KnownPath[] | undefined

  /** Adds methods of a path in the notation of routes (`/lists/:list_id`). */
  add(path: string, methods: string[]): void {
    const parts = withoutEndSlash(path).split('/').map(kindOf)
    const key = parts.join('/')
    const known = this.#byPath.get(key) ?? { pattern: patternOf(parts), rank: rankOf(parts), methods: new Set() }
    for (const method of methods) known.methods.add(method)
    this.#byPath.set(key, known)
    this.#ranked = undefined
  }

  /**
   * Returns the methods of a request's path; empty for an unknown path. Of several matching routes, the one with the most
   * literal parts is the path: `/messages/draft` has no method of `/messages/:message_id`.
   */
  of(url: string): string[] {
    this.#ranked ??= [...this.#byPath.values()].sort((a, b) => (a.rank < b.rank ? -1 : 1))
    const path = pathOf(url)
    const known = this.#ranked.find(({ pattern }) => pattern.test(path))
    return known ? [...known.methods].sort() : []
  }
}

/** Returns the path of a request target as the router reads it. */
function pathOf(url: string): string {
  const path = url.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '')
  return withoutEndSlash(decode(path).replace(/\/{2,}/g, '/'))
}

function decode(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

const withoutEndSlash = (path: string) => path.replace(/\/+$/, '')

/** Returns a part of a route, without the name of its parameter. */
const kindOf = (part: string) => (part.startsWith(':') ? ':' : part)

function patternOf(parts: string[]): RegExp {
  const sources = parts.map((part) => {
    if (part === ':') return '[^/]+'
    return part === '*' ? '.*' : part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${sources.join('/')}$`, 's')
}

/** Returns a string that sorts routes with earlier literal parts first. */
const rankOf = (parts: string[]) => parts.map((part) => (part === '*' ? 2 : part === ':' ? 1 : 0)).join('')
