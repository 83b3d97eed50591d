import { describe, expect, test } from 'vitest'
import { ConfigError, type Env, readEnv } from './config.ts'

function faultsOf(env: Env): readonly string[] {
  try {
    readEnv(env)
    return []
  } catch (e) {
    if (e instanceof ConfigError) return e.faults
    throw e
  }
}

describe('a bucket', () => {
  const bucket = {
    CARILLON_S3_ENDPOINT: 'https://s3.eu-central-1.amazonaws.com',
    CARILLON_S3_BUCKET: 'example-carillon',
    CARILLON_S3_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
    CARILLON_S3_SECRET: 'wJalrXUtnFEMI/K7MDENG',
  }

  test('is used if its four settings are set, and its prefix ends with a slash', () => {
    expect(readEnv({}).s3).toBeUndefined()
    const { s3 } = readEnv({ ...bucket, CARILLON_S3_PREFIX: 'a/b', CARILLON_S3_STYLE: 'virtual-host' })
    expect(s3).toMatchObject({ bucket: 'example-carillon', prefix: 'a/b/', virtualHost: true, partBytes: 8_000_000 })
    expect(JSON.stringify(s3)).not.toContain('wJalr')
  })

  test.each(Object.keys(bucket))('without %s is a fault', (name) => {
    const faults = faultsOf({ ...bucket, [name]: '' })
    expect(faults).toEqual([expect.stringContaining(`${name} is needed for a bucket`)])
  })

  test.each([
    { CARILLON_S3_BUCKET: 'Example_Bucket' },
    { CARILLON_S3_BUCKET: 'a/b' },
    { CARILLON_S3_PREFIX: '/a' },
    { CARILLON_S3_PREFIX: 'a/../b' },
    { CARILLON_S3_PREFIX: 'a//b' },
    { CARILLON_S3_PREFIX: 'a b' },
    { CARILLON_S3_REGION: 'eu central' },
    { CARILLON_S3_ENDPOINT: 'https://s3.example/files' },
    { CARILLON_S3_PART_MB: '5' },
    { CARILLON_S3_STYLE: 'host' },
  ])('with %j is a fault', (change) => {
    expect(faultsOf({ ...bucket, ...change })).toEqual([expect.stringContaining(Object.keys(change)[0] ?? '')])
  })
})
