import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'

// Format of a sealed string: version (1 byte), key id (4), nonce (12), AES-256-GCM ciphertext, tag (16).

const version = 1
const idEnd = 5
const nonceEnd = idEnd + 12
const tagLength = 16

/** Thrown if this key cannot open sealed bytes; the message continues "the password of x ...". */
export class SealError extends Error {}

/** Encrypts strings, so that they cannot be read from the database without the key. */
export class Sealer {
  readonly #key: Buffer
  readonly #id: Buffer

  /** @param key 32 bytes */
  constructor(key: Buffer) {
    this.#key = key
    this.#id = createHash('sha256').update('key id').update(key).digest().subarray(0, 4)
  }

  /** Seals a string for one purpose, which open() requires; sealing it again yields different bytes. */
  seal(text: string, purpose: string): Buffer {
    const nonce = randomBytes(nonceEnd - idEnd)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(purpose))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([Buffer.of(version), this.#id, nonce, sealed, cipher.getAuthTag()])
  }

  /** Opens a string that was sealed for this purpose; throws a SealError that distinguishes a wrong key from damage. */
  open(sealed: Buffer, purpose: string): string {
    if (sealed[0] !== version || sealed.length < nonceEnd + tagLength) throw new SealError('is not a sealed text')
    if (!this.sealed(sealed)) throw new SealError('was sealed with another key')
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(idEnd, nonceEnd), {
      authTagLength: tagLength,
    })
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(sealed.subarray(-tagLength))
    try {
      return decipher.update(sealed.subarray(nonceEnd, -tagLength), undefined, 'utf8') + decipher.final('utf8')
    } catch {
      throw new SealError('is damaged')
    }
  }

  /** Returns whether this key sealed the bytes. */
  sealed(sealed: Buffer): boolean {
    return sealed.subarray(1, idEnd).equals(this.#id)
  }
}
