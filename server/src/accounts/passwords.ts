import { argon2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(argon2)

// 19 MB, two passes, one lane: OWASP's minimum for argon2id
const cost = { memory: 19_456, passes: 2, parallelism: 1 }
const tagLength = 32

/** Returns the argon2id hash of a password with a random salt, as a PHC string. */
export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(16)
  const tag = await derive('argon2id', { message: password.normalize('NFKC'), nonce, tagLength, ...cost })
  const { memory, passes, parallelism } = cost
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(nonce)}$${unpadded(tag)}`
}

/** Returns whether the hash is that of the password; the cost parameters are part of the hash. */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  const found = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(hash)
  if (!found) return false
  const [memory = 0, passes = 0, parallelism = 0] = found.slice(1, 4).map(Number)
  const nonce = Buffer.from(found[4] ?? '', 'base64')
  const tag = Buffer.from(found[5] ?? '', 'base64')
  const message = password.normalize('NFKC')
  const derived = await derive('argon2id', { message, nonce, tagLength: tag.length, memory, passes, parallelism })
  return timingSafeEqual(derived, tag)
}

/** Returns a random password of 120 bits. */
export function makePassword(): string {
  return randomBytes(15).toString('base64url')
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
