import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../../config/secret.ts'

export const saltLength = 32
export const tagLength = 32

/**
 * The tags of one backup. Each is an HMAC of a part and of the tag before it, with a key for this file alone: a part that is
 * changed, missing, repeated, in another place, or from another backup has another tag.
 */
export class TagChain {
  readonly #key: Buffer
  #last: Buffer = Buffer.alloc(0)

  /** @param salt random bytes that no other backup has */
  constructor(secretKey: Secret, salt: Buffer) {
    const secret = Buffer.from(secretKey.reveal(), 'hex')
    this.#key = Buffer.from(hkdfSync('sha256', secret, salt, 'carillon backup signature', 32))
  }

  /** Returns the tag of the next part, which may be given in pieces. */
  next(...pieces: Buffer[]): Buffer {
    const hmac = createHmac('sha256', this.#key).update(this.#last)
    for (const piece of pieces) hmac.update(piece)
    this.#last = hmac.digest()
    return this.#last
  }

  /** Returns whether the tag is that of the next part. */
  accepts(tag: Buffer, ...pieces: Buffer[]): boolean {
    const expected = this.next(...pieces)
    return tag.length === expected.length && timingSafeEqual(tag, expected)
  }
}
