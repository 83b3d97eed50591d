import { type Cipheriv, createCipheriv, createHmac } from 'node:crypto'
import type { Config } from '../config/config.ts'

// The token of a short URL contains the link and the phone of the recipient, encrypted and authenticated, so neither a
// row per recipient nor a database is needed to read it: a tag of 39 bits over both, then 32 bits of the link and 34 of the
// phone, masked with a stream that depends on the tag. The 105 bits are three groups of 35, each six characters of base 62.

const linkSize = 2 ** 32
const phoneSize = 2 ** 34
const groupSize = 2 ** 35
const groupLength = 6

/** The number of characters of a token. */
export const tokenLength = 3 * groupLength
/** The highest id of a link; the maximum of the sequence. */
export const maxLinkId = linkSize - 1

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const valueOfDigit = new Map([...digits].map((digit, value) => [digit, value] as const))

/** The recipient of a short URL, and the link that it leads to. */
export type LinkOfRecipient = { linkId: number; phone: number }

/** Writes and reads the tokens of an installation. */
export class LinkTokens {
  readonly #tag: Cipheriv
  readonly #stream: Cipheriv

  /** @param secretKey 64 hex digits */
  constructor(secretKey: string) {
    this.#tag = cipherFor(secretKey, 'tags of short URLs')
    this.#stream = cipherFor(secretKey, 'streams of short URLs')
  }

  /** Returns the token of a recipient; the same one each time. Throws a RangeError for a link or phone that is too large. */
  write(recipient: LinkOfRecipient): string {
    const { linkId, phone } = recipient
    if (!(linkId >= 0 && linkId < linkSize && phone >= 0 && phone < phoneSize)) {
      throw new RangeError('link or phone too large for a token')
    }
    const tag = this.#tagOf(recipient)
    const masks = this.#masksOf(tag)
    const link = (linkId + masks.link) % linkSize
    const last = (phone + masks.phone) % phoneSize
    const middle = (tag % 16) * 2 ** 31 + Math.floor(link / 2)
    return textOf(Math.floor(tag / 16)) + textOf(middle) + textOf((link % 2) * phoneSize + last)
  }

  /** Returns the link and the recipient of a token; undefined if this installation has not written it. */
  read(token: string): LinkOfRecipient | undefined {
    if (token.length !== tokenLength) return undefined
    const first = readGroup(token, 0)
    const middle = readGroup(token, groupLength)
    const last = readGroup(token, 2 * groupLength)
    if (!(first < groupSize && middle < groupSize && last < groupSize)) return undefined
    const tag = first * 16 + Math.floor(middle / 2 ** 31)
    const masks = this.#masksOf(tag)
    const link = (middle % 2 ** 31) * 2 + Math.floor(last / phoneSize)
    const linkId = (link + linkSize - masks.link) % linkSize
    const phone = ((last % phoneSize) + phoneSize - masks.phone) % phoneSize
    // a comparison in constant time is not needed: an attacker measures a network, and cannot choose a part of the tag
    return this.#tagOf({ linkId, phone }) === tag ? { linkId, phone } : undefined
  }

  #tagOf({ linkId, phone }: LinkOfRecipient): number {
    const block = Buffer.alloc(blockLength)
    block.writeUInt32BE(linkId, 0)
    block.writeUIntBE(phone, 4, 5)
    return Math.floor(this.#tag.update(block).readUIntBE(0, 5) / 2)
  }

  #masksOf(tag: number): { link: number; phone: number } {
    const block = Buffer.alloc(blockLength)
    block.writeUIntBE(tag, 0, 5)
    const stream = this.#stream.update(block)
    return { link: stream.readUInt32BE(0), phone: stream.readUIntBE(4, 5) % phoneSize }
  }
}

const tokensOfConfig = new WeakMap<object, LinkTokens>()

/** Returns the tokens of this process; undefined if it has no secret key. */
export function linkTokensOf(config: Pick<Config, 'secretKey'>): LinkTokens | undefined {
  const known = tokensOfConfig.get(config)
  if (known || !config.secretKey) return known
  const tokens = new LinkTokens(config.secretKey.reveal())
  tokensOfConfig.set(config, tokens)
  return tokens
}

const blockLength = 16

function cipherFor(secretKey: string, purpose: string): Cipheriv {
  const key = createHmac('sha256', Buffer.from(secretKey, 'hex')).update(purpose).digest().subarray(0, 16)
  return createCipheriv('aes-128-ecb', key, null).setAutoPadding(false)
}

function textOf(group: number): string {
  let text = ''
  for (let n = 0, rest = group; n < groupLength; n++, rest = Math.floor(rest / 62))
    text = digits.charAt(rest % 62) + text
  return text
}

/** Returns the value of a group; NaN if it has another character. */
function readGroup(token: string, start: number): number {
  let value = 0
  for (let n = start; n < start + groupLength; n++)
    value = value * 62 + (valueOfDigit.get(token.charAt(n)) ?? Number.NaN)
  return value
}
