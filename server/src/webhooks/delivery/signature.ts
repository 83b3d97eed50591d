import { createHmac } from 'node:crypto'

// Signatures as Standard Webhooks 1.0 defines them (https://www.standardwebhooks.com), scheme v1.

/** Marks a secret in its text form. */
const secretPrefix = 'whsec_'
const minSecretBytes = 24
const maxSecretBytes = 64

/** Returns the bytes of a secret in text form (whsec_ and 24 to 64 bytes in base64), or undefined if it is malformed. */
export function readSecret(text: string): Buffer | undefined {
  if (!text.startsWith(secretPrefix)) return undefined
  const encoded = text.slice(secretPrefix.length)
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined
  const bytes = Buffer.from(encoded, 'base64')
  // the decoder ignores what follows the padding, and bits that no byte uses
  if (bytes.toString('base64') !== encoded) return undefined
  return bytes.length >= minSecretBytes && bytes.length <= maxSecretBytes ? bytes : undefined
}

/** Returns the text form of a secret. */
export function formatSecret(bytes: Buffer): string {
  return `${secretPrefix}${bytes.toString('base64')}`
}

/**
 * Returns the headers that identify and sign a delivery; the timestamp is that of the attempt. With several secrets there is
 * a signature of each, so that a receiver may use either.
 */
export function signDelivery(id: string, at: Date, body: string, secrets: readonly Buffer[]): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1_000))
  const identified = { 'webhook-id': id, 'webhook-timestamp': timestamp }
  if (secrets.length === 0) return identified
  const signatures = secrets.map((secret) => {
    const signature = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')
    return `v1,${signature}`
  })
  return { ...identified, 'webhook-signature': signatures.join(' ') }
}
