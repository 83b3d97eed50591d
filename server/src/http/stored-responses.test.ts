import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'

const api = useApi()

async function cpuOf(url: string) {
  const before = process.threadCpuUsage()
  const response = await api.app.inject({ url })
  const { user, system } = process.threadCpuUsage(before)
  return { response, cpu: user + system }
}

test.each([
  ['/openapi.json', /^application\/json/],
  ['/docs/json', /^application\/json/],
  ['/docs/yaml', /^application\/x-yaml/],
])('%s is computed once', async (url, type) => {
  const first = await cpuOf(url)
  const later = await Promise.all(Array.from({ length: 5 }, () => api.app.inject({ url })))
  for (const { statusCode, headers, rawPayload } of later) {
    expect(statusCode).toBe(200)
    expect(headers['content-type']).toMatch(type)
    expect(rawPayload.equals(first.response.rawPayload)).toBe(true)
  }
  const cpus = [await cpuOf(url), await cpuOf(url), await cpuOf(url)].map(({ cpu }) => cpu)
  expect(Math.min(...cpus)).toBeLessThan(first.cpu / 3)
})
