import { expect, test, vi } from 'vitest'
import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import type { SendingRoutes } from '../binds/sending-routes.ts'
import { noCaps } from '../caps/caps.ts'
import type { LeasedChunk } from '../submit/leased-chunk.ts'
import { timing } from '../timing.ts'
import { BatchMarker } from './batch-marker.ts'
import { MarkSize } from './mark-size.ts'

const { slowMarkMs } = timing

test('the size of a mark is halved after each slow mark, down to 16, and doubled after each fast one, up to 250', () => {
  const size = new MarkSize()
  const sizes = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0].map((isSlow) => {
    size.note(isSlow ? slowMarkMs + 1 : slowMarkMs)
    return size.rows
  })
  expect(sizes).toEqual([125, 62, 31, 16, 16, 32, 64, 128, 250, 250])
})

test('the next mark has half as many recipients after a slow mark, and twice as many after a fast one', async () => {
  let now = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const sizes: number[] = []
  let markingMs = 0
  const submitter = {
    submit: async (_: LeasedChunk, __: BindGroup, recipients: Recipient[]) => {
      sizes.push(recipients.length)
      now += markingMs
    },
  }
  const windowSlots = { capacity: 1_000, urgentReserve: () => 0, freeToMark: () => 1_000, allowsSmallMark: false }
  const group = { windowSlots, window: 1_000, needsCarriers: false, capsFor: () => noCaps, reserve: () => {} }
  const leased = {
    chunk: { shortCodeId: 1 },
    isUrgent: false,
    ready: () => 1_000,
    take: (count: number) => Array.from({ length: count }, (_, id) => ({ id })),
    encoderFor: () => ({ pduCount: 1 }),
  } as unknown as LeasedChunk
  const routes = { groupsInOrder: () => [group], count: () => {} } as unknown as SendingRoutes
  const marker = new BatchMarker({ routes, submitter, onMarked: () => {}, onChange: () => {} })
  for (const ms of [slowMarkMs + 1, slowMarkMs + 1, 10, 10]) {
    markingMs = ms
    expect(marker.fill(leased, now, new Set())).toBe(true)
    await vi.waitFor(() => expect(marker.isMarking).toBe(false))
  }
  vi.restoreAllMocks()
  expect(sizes).toEqual([250, 125, 62, 124])
})
