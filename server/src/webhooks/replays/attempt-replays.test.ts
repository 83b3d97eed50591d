import { describe, expect, test } from 'vitest'
import { minutes, start, useReplays } from '../../../test/replay-world.ts'

const world = useReplays()
const { failed, newEvents, queue } = world

describe('the event of an attempt', () => {
  test('is queued for its webhook, and due at once if it waits', async () => {
    await newEvents(2)
    const { id } = await failed(2, 'delivered', minutes(0))
    const response = await world.owner.post(`/webhook_attempts/${id}/replay`)
    expect(response).toMatchObject({ status: 202, body: { attempt_replay: { attempt_id: id, position: 2 } } })
    await world.db.exec('postpone', 'update deliveries set due_at = $1', [minutes(9)])
    expect((await world.owner.post(`/webhook_attempts/${id}/replay`)).status).toBe(202)
    expect(await queue()).toEqual([2])
    expect(await world.db.one('read_due_at', 'select due_at as at from deliveries')).toEqual({ at: start })
  })

  test('is queued for a callback', async () => {
    const position = await newEvents(1, { type: 'transactional_message_status' })
    const { id: endpointId } = await world.db.one<{ id: number }>(
      'callback',
      `insert into endpoints (account_id, origin) values ($1, 'https://hooks.cedar.example') returning id`,
      [world.owner.accountId],
    )
    const { id } = await failed(position, 'dead', minutes(0))
    await world.db.exec('to_callback', 'update delivery_attempts set endpoint_id = $1', [endpointId])
    expect((await world.owner.post(`/webhook_attempts/${id}/replay`)).status).toBe(202)
    const rows = await world.db.many('read_callbacks', 'select endpoint_id as id, position from deliveries')
    expect(rows).toEqual([{ id: endpointId, position }])
  })

  test('is rejected if it is deleted, a test, foreign, or its webhook is disabled or deleted', async () => {
    await newEvents(1)
    const { id } = await failed(1, 'dead', minutes(0))
    const replay = (caller = world.owner) => caller.post(`/webhook_attempts/${id}/replay`)
    expect((await replay(world.stranger)).body.code).toBe('attempt_not_found')
    await world.db.exec('make_test', 'update delivery_attempts set is_test = true')
    expect((await replay()).status).toBe(422)
    await world.db.exec('make_real', 'update delivery_attempts set is_test = false')
    await world.db.exec('disable_it', `update endpoints set disabled_at = $1, disabled_reason = 'gone'`, [start])
    expect((await replay()).body.code).toBe('webhook_disabled')
    await world.db.exec('enable_it', 'update endpoints set disabled_at = null, disabled_reason = null')
    await world.db.exec('age', 'update events set occurred_at = $1', [minutes(-30 * 24 * 60 + 5)])
    expect(await replay()).toMatchObject({ status: 410, body: { code: 'events_deleted' } })
    await world.db.exec('delete_events', 'delete from events')
    expect((await replay()).status).toBe(410)
    expect(await queue()).toEqual([])
    await world.owner.delete(`/lists/${world.listId}/webhooks/${world.webhookId}`)
    expect((await replay()).body.code).toBe('webhook_not_found')
  })
})
