import { describe, expect, test } from 'vitest'
import { presentMessage } from './messages.schema.ts'

const clock = { now: () => new Date('2026-03-02T10:00:00Z') }

describe('the counters of a presented message', () => {
  const counters = {
    queued: 1,
    submitting: 2,
    sent: 4,
    unknown: 8,
    delivered: 16,
    bounced: 32,
    expired: 64,
    suppressed: 128,
    cleaned: 3,
    unsubscribed: 5,
  }
  const message = {
    id: 1,
    content: 'x',
    name: null,
    kind: 'broadcast' as const,
    status: 'sent' as const,
    phone: null,
    partCount: 2,
    maxParts: null,
    linkBase: null,
    links: null,
    audience: null,
    createdAt: new Date('2026-03-01T08:00:00Z'),
    sendAt: null,
    acceptedAt: new Date('2026-03-02T09:00:00Z'),
    cancelReason: null,
    setAside: null,
    pausedAt: null,
    timing: { localTime: false, deliverBy: null, quietHours: false, sendHours: null },
    bill: null,
    sentAt: new Date('2026-03-02T09:30:00Z'),
    closedAt: null,
    cancelledAt: null,
    counters,
  }
  const zone = 'America/New_York'

  test('count unknown texts as pending while the message is open', () => {
    expect(presentMessage(message, zone, clock.now())).toMatchObject({
      sent_at: '2026-03-02T04:30:00-05:00',
      recipient_count: 127,
      success_count: 16,
      bounces_count: 96,
      pending_count: 15,
      clean_count: 3,
      unsubscribe_count: 5,
      suppressed_count: 128,
      sms_count: 16,
      parts: { sum: 254, minimum: 2, maximum: 2 },
    })
  })

  test('count unknown texts as bounces when the message is closed', () => {
    expect(presentMessage({ ...message, closedAt: clock.now() }, zone, clock.now())).toMatchObject({
      recipient_count: 127,
      bounces_count: 104,
      pending_count: 7,
    })
  })

  test('include parts from half an hour after the send', () => {
    expect(presentMessage(message, zone, new Date('2026-03-02T09:59:59Z'))).not.toHaveProperty('parts')
    expect(presentMessage({ ...message, sentAt: null }, zone, clock.now())).not.toHaveProperty('parts')
  })

  test('include the cost of a bill immediately, and its parts from half an hour after the send', () => {
    const billed = {
      ...message,
      bill: { parts: 300, least: 1, most: 4, cost: 27.63, suppressions: { opted_out: 128 } },
    }
    expect(presentMessage(billed, zone, clock.now())).toMatchObject({
      send_cost: 27.63,
      suppressed_reasons: { opted_out: 128 },
      parts: { sum: 300, minimum: 1, maximum: 4 },
    })
    const early = presentMessage(billed, zone, new Date('2026-03-02T09:59:59Z'))
    expect(early).toMatchObject({ send_cost: 27.63 })
    expect(early).not.toHaveProperty('parts')
    expect(presentMessage(message, zone, clock.now())).toMatchObject({ send_cost: 0 })
    expect(presentMessage(message, zone, clock.now())).not.toHaveProperty('suppressed_reasons')
  })

  test('come with the phone number, and is_broadcast false, for a text to one number', () => {
    expect(presentMessage({ ...message, kind: 'transactional', phone: 2065550143 }, zone, clock.now())).toMatchObject({
      is_broadcast: false,
      phone_number: '2065550143',
    })
  })
})
