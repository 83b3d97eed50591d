import { afterEach, expect, test, vi } from 'vitest'
import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import { noCaps } from '../caps/caps.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import { timing } from '../timing.ts'
import { Urgency } from '../urgency.ts'
import { BatchMarker } from './batch-marker.ts'
import { MarkSize } from './mark-size.ts'

const { slowMarkMs } = timing

afterEach(() => {
  vi.restoreAllMocks()
})

test('the size of a mark is halved after each slow mark, down to 16, and doubled after each fast one, up to 250', () => {
  const size = new MarkSize()
  const sizes = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0].map((isSlow) => {
    size.note(isSlow ? slowMarkMs + 1 : slowMarkMs)
    return size.rows
  })
  expect(sizes).toEqual([125, 62, 31, 16, 16, 32, 64, 128, 250, 250])
})

/** Returns a marker whose marks run `submit`, and functions that mark one batch, and as many as there is room for. */
function makeMarker(submit: (recipients: Recipient[]) => Promise<void>) {
  const windowSlots = {
    capacity: 1_000,
    urgentReserve: () => 0,
    freeToMark: () => 1_000,
    noteUrgent: () => {},
    allowsSmallMark: false,
  }
  const group = { windowSlots, window: 1_000, needsCarriers: false, capsFor: () => noCaps, reserve: () => {} }
  const routes = { groupsInOrder: () => [group], count: () => {} } as unknown as SendingRoutes
  const submitter = { submit: (_: LeasedChunk, __: BindGroup, recipients: Recipient[]) => submit(recipients) }
  const marker = new BatchMarker({ routes, submitter, urgency: new Urgency(), onMarked: () => {}, onChange: () => {} })
  const markOne = (isUrgent: boolean, now: number) => {
    const leased = {
      chunk: { shortCodeId: 1 },
      isUrgent,
      ready: () => 1_000,
      take: (count: number) => Array.from({ length: count }, (_, id) => ({ id })),
      encoderFor: () => ({ pduCount: 1 }),
    } as unknown as LeasedChunk
    return marker.fill(leased, now, new Set())
  }
  const fill = (isUrgent: boolean, now: number) => {
    let marks = 0
    while (marker.hasRoom(isUrgent, now) && markOne(isUrgent, now)) marks++
    return marks
  }
  return { marker, markOne, fill }
}

test('the next mark has half as many recipients after a slow mark, and twice as many after a fast one', async () => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const sizes: number[] = []
  let markingMs = 0
  const { marker, markOne } = makeMarker(async (recipients) => {
    sizes.push(recipients.length)
    now += markingMs
  })
  for (const ms of [slowMarkMs + 1, slowMarkMs + 1, 10, 10]) {
    markingMs = ms
    expect(markOne(false, now)).toBe(true)
    await vi.waitFor(() => expect(marker.isMarking).toBe(false))
  }
  expect(sizes).toEqual([250, 125, 62, 124])
})

test('two batches of broadcasts are marked at a time, and only one for 10 s after an urgent text', async () => {
  let end = () => {}
  const running = new Promise<void>((resolve) => {
    end = resolve
  })
  const idle = makeMarker(() => running)
  expect(idle.fill(false, 0)).toBe(2)
  expect(idle.fill(true, 0)).toBe(2)
  const busy = makeMarker(() => Promise.resolve())
  expect(busy.fill(true, 0)).toBe(4)
  await vi.waitFor(() => expect(busy.marker.isMarking).toBe(false))
  expect([busy.marker.hasRoom(false, 0), busy.marker.hasRoom(false, 9_999)]).toEqual([true, true])
  expect(busy.fill(false, 9_999)).toBe(1)
  expect(busy.fill(false, 10_000)).toBe(1)
  end()
})
