import { isIP } from 'node:net'
import { isAllowedAddress, makeRanges } from './address-ranges.ts'
import { isBlockedPort } from './guarded-fetch.ts'

/** Maximum length of a URL that a caller sets. */
export const maxUrlLength = 2_048

/** A user name or a password, also empty ones, which a parsed URL lacks; a URL may have more slashes than two. */
const userInfo = /^https?:\/\/[/\\]*[^/\\?#]*@/i

/** Returns what is wrong with a URL that a caller wants to be called, or undefined. */
export type CallbackUrlCheck = (text: string) => string | undefined

/**
 * Returns a check of URLs that callers set: absolute http or https URLs without a user name, whose host is a name, a public
 * address, or a private one of the `allowed` ranges, in any spelling that a URL permits. Names are not resolved, because
 * each call resolves them and checks their addresses.
 */
export function makeCallbackUrlCheck(allowed: readonly string[]): CallbackUrlCheck {
  const ranges = makeRanges(allowed)
  const isLoopbackAllowed = ranges.has('127.0.0.1')
  return (text) => {
    if (!/^https?:\/\/[^\s\p{Cc}]+$/iu.test(text) || !URL.canParse(text)) return 'must be an http or https address'
    const url = new URL(text)
    if (userInfo.test(text)) return 'must not contain a user name or a password'
    if (isBlockedPort(url.port)) return `must not have the port ${url.port}, which is not one of a web server`
    const host = url.hostname.replace(/^\[|\]$/g, '')
    // RFC 6761: every resolver returns a loopback address for these names
    const isPrivate = isIP(host) > 0 ? !isAllowedAddress(host, ranges) : !isLoopbackAllowed && isLocalhost(host)
    return isPrivate ? 'must not be a private address' : undefined
  }
}

function isLocalhost(host: string): boolean {
  return /^(.+\.)?localhost\.?$/.test(host)
}
