import { StoreError } from './file-store.ts'

// The codes are those of S3's list of error responses, and of MinIO, Ceph and R2 where they have others.

const keyFaults = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'Unauthorized',
  'InvalidToken',
  'ExpiredToken',
  'InvalidSecurity',
  'NotSignedUp',
])

const fullFaults = new Set([
  'QuotaExceeded',
  'ServiceQuotaExceeded',
  'InsufficientStorage',
  'InsufficientCapacity',
  'StorageFull',
  'XMinioStorageFull',
  'XMinioAdminBucketQuotaExceeded',
  'EntityTooLarge',
])

const passing = new Set(['RequestTimeout', 'SlowDown', 'InternalError', 'ServiceUnavailable', 'OperationAborted'])

const meanings: Record<string, string> = {
  NoSuchBucket: 'the bucket of the files does not exist',
  AuthorizationHeaderMalformed: 'the file store is in another region',
  PermanentRedirect: 'the file store is in another region or at another endpoint',
  RequestTimeTooSkewed: 'the clock of this machine differs from that of the file store',
  NotImplemented: 'the file store does not support a request that is needed',
  NoSuchUpload: 'the upload of the file no longer exists',
  NoSuchKey: 'a part of the file was lost or changed',
  InvalidPart: 'a part of the file was lost or changed',
}

/** Returns the error of a response with this status and, unless the method was HEAD, a document with a code. */
export function faultOf(status: number, given: string | undefined): StoreError {
  const code = given ?? `HTTP ${status}`
  if (keyFaults.has(code) || status === 401) return permanent('the file store rejected the key', code)
  if (fullFaults.has(code) || status === 507) return permanent('the file store is full', code)
  if (meanings[code]) return permanent(meanings[code], code)
  if (status >= 500 || status === 429 || status === 408 || passing.has(code))
    return new StoreError('the file store is unavailable', code, { isPermanent: false })
  if (status === 403) return permanent('the file store denied access', code)
  return permanent('the file store rejected a request', code)
}

/** Returns the error of a request without a response. */
export function unreachable(cause: unknown): StoreError {
  const { code } = cause as NodeJS.ErrnoException
  return new StoreError('the file store is unreachable', code ?? 'no response', { isPermanent: false, cause })
}

const permanent = (message: string, code: string) => new StoreError(message, code, { isPermanent: true })
