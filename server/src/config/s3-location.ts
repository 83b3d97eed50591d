import type { Secret } from './secret.ts'
import type { SettingName, SettingValue } from './settings.ts'

/** A bucket of an S3-compatible store, and the key for it. */
export type S3Location = {
  endpoint: string
  region: string
  bucket: string
  /** What the keys of all objects begin with; empty, or with a slash at the end. */
  prefix: string
  keyId: string
  secret: Secret
  /** Whether the name of the bucket is in that of the host, and not in the path. */
  virtualHost: boolean
  /** Size of the parts in which files are uploaded, except the last. */
  partBytes: number
}

type Read = <N extends SettingName>(name: N) => SettingValue<N>

/** The settings that name a bucket: all of them or none are set. */
export const bucketSettings = [
  'CARILLON_S3_BUCKET',
  'CARILLON_S3_ENDPOINT',
  'CARILLON_S3_KEY_ID',
  'CARILLON_S3_SECRET',
] as const

/** Returns the bucket for files; undefined if no setting names one, and with faults if only some of them are set. */
export function readS3Location(
  read: Read,
  isSet: (name: SettingName) => boolean,
  faults: string[],
): S3Location | undefined {
  const missing = bucketSettings.filter((name) => !isSet(name))
  if (missing.length === bucketSettings.length) return undefined
  for (const name of missing)
    faults.push(`${name} is needed for a bucket, together with ${bucketSettings.filter((n) => n !== name).join(', ')}`)
  const [bucket, endpoint, keyId, secret] = [
    read('CARILLON_S3_BUCKET'),
    read('CARILLON_S3_ENDPOINT'),
    read('CARILLON_S3_KEY_ID'),
    read('CARILLON_S3_SECRET'),
  ]
  if (bucket === undefined || endpoint === undefined || keyId === undefined || secret === undefined) return undefined
  return {
    ...{ endpoint, bucket, keyId, secret },
    region: read('CARILLON_S3_REGION'),
    prefix: read('CARILLON_S3_PREFIX'),
    virtualHost: read('CARILLON_S3_STYLE') === 'virtual-host',
    partBytes: read('CARILLON_S3_PART_MB') * 1_000_000,
  }
}
