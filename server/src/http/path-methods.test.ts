import { describe, expect, test } from 'vitest'
import { basic, useApi } from '../../test/api.ts'
import { registeredPaths } from '../../test/contract/routes.ts'
import { PathMethods } from './path-methods.ts'

const api = useApi()

describe('PathMethods', () => {
  const methods = new PathMethods()
  methods.add('/', ['GET'])
  methods.add('/lists', ['POST', 'GET'])
  methods.add('/lists/:list_id', ['GET'])
  methods.add('/lists/:id', ['PUT'])
  methods.add('/lists/draft', ['HEAD'])
  methods.add('/files/*', ['GET'])
  methods.add('/files/a.b', ['PUT'])

  test.each<[url: string, allowed: string]>([
    ['/', 'GET'],
    ['', 'GET'],
    ['//?x=/lists', 'GET'],
    ['/lists', 'GET POST'],
    ['//lists//', 'GET POST'],
    ['/lists?a=/b', 'GET POST'],
    ['/lists#a', 'GET POST'],
    ['/l%69sts', 'GET POST'],
    ['http://a.example/lists', 'GET POST'],
    ['/lists/7', 'GET PUT'],
    ['/lists/%2F', 'GET PUT'],
    ['/lists/draft', 'HEAD'],
    ['/lists/drafts', 'GET PUT'],
    ['/lists/7/8', ''],
    ['/list', ''],
    ['/listsx', ''],
    ['/files/a/b', 'GET'],
    ['/files/a.b', 'PUT'],
    ['/files/axb', 'GET'],
    ['/lists/%zz', 'GET PUT'],
  ])('of %s', (url, allowed) => {
    expect(methods.of(url).join(' ')).toBe(allowed)
  })
})

test('Allow of each path has exactly the methods that the path supports', async () => {
  const candidates = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY']
  // a wildcard is listed without its prefix
  const paths = Object.entries(registeredPaths(api.app)).filter(([path]) => !path.includes('*'))
  expect(paths.length).toBeGreaterThan(60)
  for (const [path, supported] of [...paths, ['/docs/static/none.css', ['GET', 'HEAD']] as [string, string[]]]) {
    // ids that no noun accepts, so no request changes anything
    const headers = { authorization: basic(api.owner.key) }
    const url = path.replace(/:\w+/g, '0')
    for (const method of candidates) {
      const isSupported = supported.includes(method)
      // a 405, whatever the body of a method that no path supports
      const body = method === 'QUERY' ? { payload: 'no,json' } : {}
      const response = await api.app.inject({ method: method as 'GET', url, headers, ...body })
      expect(response.statusCode === 405, `${method} ${path}: ${response.statusCode}`).toBe(!isSupported)
      if (!isSupported) expect(response.headers.allow, `${method} ${path}`).toBe([...supported].sort().join(', '))
    }
  }
})
