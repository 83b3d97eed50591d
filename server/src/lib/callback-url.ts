/**
 * Whether a text can be an address to call: absolute, http or https. Where it leads is looked at when it is called,
 * because a name can lead elsewhere by then.
 */
export function isCallbackUrl(text: string): boolean {
  return /^https?:\/\/[^\s\p{Cc}]+$/iu.test(text) && URL.canParse(text)
}
