import { randomBytes } from 'node:crypto'
import { Webhook, WebhookVerificationError } from 'standardwebhooks'
import { expect, test } from 'vitest'
import { formatSecret, readSecret, signDelivery } from './signature.ts'

const [first, second] = [randomBytes(24), randomBytes(64)]
const body = '{"type":"subscribe","first_name":"Zoë"}'

test('the public verifier accepts each valid secret, and nothing that was changed', () => {
  const headers = signDelivery('evt_7', new Date(), body, [first, second])
  for (const secret of [first, second]) {
    const verifier = new Webhook(formatSecret(secret))
    expect(verifier.verify(body, headers)).toEqual(JSON.parse(body))
    expect(() => verifier.verify(`${body} `, headers)).toThrow(WebhookVerificationError)
    expect(() => verifier.verify(body, { ...headers, 'webhook-id': 'evt_8' })).toThrow(WebhookVerificationError)
  }
  const other = new Webhook(formatSecret(randomBytes(24)))
  expect(() => other.verify(body, headers)).toThrow(WebhookVerificationError)
})

test('without a secret, a delivery is identified but not signed', () => {
  const at = new Date('2026-03-02T10:00:00.900Z')
  expect(signDelivery('evt_7', at, body, [])).toEqual({ 'webhook-id': 'evt_7', 'webhook-timestamp': '1772445600' })
})

test('secrets in text form are read as they were written', () => {
  for (const size of [24, 25, 32, 63, 64]) {
    const bytes = randomBytes(size)
    expect(readSecret(formatSecret(bytes))).toEqual(bytes)
  }
})

const encoded = Buffer.alloc(24, 7).toString('base64')
test.each([
  '',
  'whsec_',
  encoded,
  `whsec-${encoded}`,
  `whsec_${encoded} `,
  `whsec_${encoded.slice(1)}`,
  `whsec_${encoded}====`,
  `whsec_${Buffer.alloc(23).toString('base64')}`,
  `whsec_${Buffer.alloc(65).toString('base64')}`,
  `whsec_${Buffer.alloc(25, 255).toString('base64url')}`,
])('%j is not a secret', (text) => {
  expect(readSecret(text)).toBeUndefined()
})
