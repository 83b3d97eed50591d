import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates } from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { makeAuthority } from '../../test/certificates.ts'
import { loopbackRanges } from './address-ranges.ts'
import { ConnectionPool } from './connection-pool.ts'
import { makeGuardedFetch } from './guarded-fetch.ts'
import { readTrusted } from './trusted-authorities.ts'

const opened: { close(): void }[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})

test('certificates of an extra authority are trusted, with and without a pool; those of others are not', async () => {
  const ours = makeAuthority('Ours')
  const theirs = makeAuthority('Theirs')
  const extraCaFile = join(mkdtempSync(join(tmpdir(), 'ca-')), 'ca.pem')
  writeFileSync(extraCaFile, theirs.cert + ours.cert)
  const server = createServer(ours.issue('127.0.0.1'), (_req, res) => res.end('trusted'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const pool = new ConnectionPool(2)
  opened.push(pool, { close: () => server.close().closeAllConnections() })
  const request = {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    timeoutMs: 5_000,
    maxBytes: 1_000,
  }
  const trusting = makeGuardedFetch({ allowed: loopbackRanges, extraCaFile })
  const other = makeGuardedFetch({ allowed: loopbackRanges })
  for (const given of [request, { ...request, pool }]) {
    await expect(other(given)).rejects.toMatchObject({ reason: 'invalid_certificate' })
    expect((await trusting(given)).body.toString()).toBe('trusted')
  }
})

test('the public authorities stay trusted', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'ca-')), 'ca.pem')
  writeFileSync(file, makeAuthority().cert)
  expect(readTrusted(file)).toHaveLength(getCACertificates('default').length + 1)
})
