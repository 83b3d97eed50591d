import { describe, expect, test } from 'vitest'
import { minutes, start, useReplays } from '../../../test/replay-world.ts'

const world = useReplays()
const { ask, newEvents, queue, work } = world

describe('rejects', () => {
  test.each<[object, string]>([
    [{}, 'Replay must have exactly one of position, from_position and failed_since'],
    [{ position: 1, failed_since: '2026-03-02T10:00:00Z' }, 'Replay must have exactly one'],
    [{ position: 1, to_position: 2 }, 'To position is allowed with from_position only'],
    [{ from_position: 1 }, 'From position is after the last event, which is at 0'],
    [{ from_position: 999, to_position: 1_000 }, 'From position is after the last event, which is at 0'],
    [{ failed_since: '2026-03-02T10:00:01Z' }, 'Failed since must not be in the future'],
    [{ position: 999 }, 'Position is not an event that this webhook receives'],
    [{ position: 0 }, 'Position'],
    [{ failed_since: 'yesterday' }, 'Failed since must be a time with an offset'],
    [{ failed_since: '2026-01-30T10:00:00Z' }, 'Failed since must be in the last 30 days'],
  ])('%j', async (replay, error) => {
    const { status, body } = await ask(replay)
    expect(status).toBe(422)
    expect(body.error).toContain(`Validation failed: ${error}`)
    expect(await work()).toBe(0)
  })

  test('a range whose end is before its beginning, or after the last event', async () => {
    await newEvents(3)
    for (const [replay, error] of [
      [{ from_position: 3, to_position: 2 }, 'To position must not be less than from_position'],
      [{ from_position: 3, to_position: 4 }, 'To position is after the last event, which is at 3'],
      [{ from_position: 4 }, 'From position is after the last event, which is at 3'],
    ] as const) {
      const { status, body } = await ask(replay)
      expect(status).toBe(422)
      expect(body.error).toBe(`Validation failed: ${error}`)
    }
    expect((await ask({ from_position: 3, to_position: 3 })).status).toBe(202)
  })

  test('events that are deleted, or will be soon, of others, and of other types', async () => {
    await newEvents(1, { at: minutes(-30 * 24 * 60 + 5) })
    await newEvents(1, { type: 'cleaned' })
    await newEvents(1, { caller: world.stranger })
    await newEvents(2)
    await world.db.exec('delete', 'update event_sequence set deleted_position = 0')
    for (const replay of [{ position: 1 }, { from_position: 1 }, { from_position: 1, to_position: 1 }]) {
      const { status, body } = await ask(replay)
      expect(status).toBe(410)
      expect(body).toMatchObject({ code: 'events_deleted', details: { oldest_position: ['2'] } })
    }
    expect(await work()).toBe(0)
    expect((await ask({ from_position: 2 })).status).toBe(202)
    await work()
    expect(await queue()).toEqual([4, 5])
    for (const position of [2, 3]) expect((await ask({ position })).status).toBe(422)
    await world.db.exec('delete_three', 'update event_sequence set deleted_position = 3')
    for (const replay of [{ position: 3 }, { from_position: 3 }]) {
      const { status, body } = await ask(replay)
      expect(status).toBe(410)
      expect(body).toMatchObject({ code: 'events_deleted', details: { oldest_position: ['4'] } })
    }
    expect(await work()).toBe(0)
  })

  test('a disabled webhook until it is enabled, and a foreign one', async () => {
    await newEvents(1)
    await world.db.exec('disable', `update endpoints set disabled_at = $1, disabled_reason = 'gone'`, [start])
    expect(await ask({ position: 1 })).toMatchObject({ status: 422, body: { code: 'webhook_disabled' } })
    await world.owner.put(`/lists/${world.listId}/webhooks/${world.webhookId}`, { webhook: {} })
    expect((await ask({ position: 1 })).status).toBe(202)
    await work()
    expect(await queue()).toEqual([1])
    expect(await ask({ position: 1 }, world.stranger)).toMatchObject({ status: 404 })
    expect((await world.owner.get(`${world.path}/999999`)).body.error).toBe('Replay not found')
  })
})
