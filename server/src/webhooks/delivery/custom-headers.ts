import type { Sealer } from '../../lib/seal.ts'

/** Headers that a webhook adds to its deliveries, with the names as they were given. */
export type CustomHeaders = [name: string, value: string][]

const purpose = 'endpoints.headers'

/** Seals the headers of a webhook; null if there are none. */
export function sealHeaders(sealer: Sealer, headers: CustomHeaders): Buffer | null {
  return headers.length === 0 ? null : sealer.seal(JSON.stringify(headers), purpose)
}

/** Returns the headers of a webhook; throws a SealError if the key cannot open them. */
export function openHeaders(sealer: Sealer, sealed: Buffer | null): CustomHeaders {
  return sealed === null ? [] : JSON.parse(sealer.open(sealed, purpose))
}
