import { expect, test } from 'vitest'
import { renderBanner } from './banner.ts'

const facts = { mode: 'production', dataDir: '/srv/data', databaseNote: undefined, account: undefined } as const

test('the banner shows the public URL, and the one on this machine if a proxy is in front of it', () => {
  const local = 'http://127.0.0.1:8080'
  const direct = renderBanner({ ...facts, url: local, listenUrl: local })
  expect(direct).toContain('Reference  http://127.0.0.1:8080/docs')
  expect(direct).not.toContain('Listens at')
  const proxied = renderBanner({ ...facts, url: 'https://texts.example.org', listenUrl: local })
  expect(proxied).toContain('Console    https://texts.example.org/')
  expect(proxied).toContain('Listens at http://127.0.0.1:8080')
})
