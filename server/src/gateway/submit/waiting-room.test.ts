import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Recipient } from '../../log/chunk.ts'
import type { BindGroup } from '../binds/bind-group.ts'
import { Cap } from '../caps/cap.ts'
import { CapSet } from '../caps/caps.ts'
import type { LeasedChunk } from './leased-chunk.ts'
import type { OutgoingText } from './outgoing-text.ts'
import { WaitingRoom } from './waiting-room.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

type Group = { free: number }

/** Returns a waiting room and the events that it has reported, as strings. */
function makeRoom() {
  const events: string[] = []
  const unmarked: Array<{ recipients: Recipient[]; delayMs: number }> = []
  const room = new WaitingRoom({
    onReady(text, _, waitedFor) {
      events.push(nameOf(text))
      if (waitedFor === 'tokens') text.caps.use(performance.now())
      else (text.group as unknown as Group).free--
    },
    onTimeout: (text) => events.push(`timeout ${nameOf(text)}`),
    onUnmark: (_, recipients, delayMs) => unmarked.push({ recipients, delayMs }),
    onChange: () => events.push('change'),
  })
  return { room, events, unmarked }
}

const nameOf = (text: OutgoingText) => (text as unknown as { name: string }).name

function makeGroup(free: number): BindGroup & Group {
  const group = { free, emptiest: () => (group.free > 0 ? {} : undefined) }
  return group as unknown as BindGroup & Group
}

function makeText(name: string, { caps = new CapSet([]), group = makeGroup(0), isUrgent = false } = {}): OutgoingText {
  return { name, caps, group, isUrgent } as unknown as OutgoingText
}

function makeChunk() {
  const requeued: Recipient[][] = []
  let delayed = 0
  const chunk = {
    addDelayed: (count: number) => {
      delayed += count
    },
    requeue: (recipients: Recipient[]) => requeued.push(recipients),
  } as unknown as LeasedChunk
  return { chunk, requeued, delayed: () => delayed }
}

const recipient = (id: number) => ({ id }) as Recipient

/** Returns a set of one cap with this many tokens per second. */
function capOf(limit: number): CapSet {
  const cap = new Cap()
  cap.grant(limit, Number.POSITIVE_INFINITY, performance.now())
  return new CapSet([cap])
}

describe('a wait for tokens', () => {
  test('does not delay parts under other caps', () => {
    const { room, events } = makeRoom()
    const slow = capOf(2)
    for (const name of ['first', 'slow']) {
      slow.reserve(1)
      room.waitForTokens(makeText(name, { caps: slow }), 0)
    }
    vi.advanceTimersByTime(30)
    expect(events).toEqual(['first'])
    const fast = capOf(1_000)
    fast.reserve(1)
    room.waitForTokens(makeText('fast', { caps: fast }), 0)
    vi.advanceTimersByTime(5)
    expect(events).toEqual(['first', 'fast'])
    vi.advanceTimersByTime(600)
    expect(events).toEqual(['first', 'fast', 'slow'])
  })

  test('ends for urgent parts first, then for the others in order', () => {
    const { room, events } = makeRoom()
    const caps = capOf(1_000)
    caps.reserve(4)
    for (const name of ['a', 'b']) room.waitForTokens(makeText(name, { caps }), 0)
    for (const name of ['c', 'd']) room.waitForTokens(makeText(name, { caps, isUrgent: true }), 0)
    vi.advanceTimersByTime(10)
    expect(events).toEqual(['c', 'd', 'a', 'b'])
  })

  test('times out after 0.7 s if the gateway has no share of the cap', () => {
    const { room, events } = makeRoom()
    const caps = capOf(0)
    room.waitForTokens(makeText('a', { caps }), 0)
    vi.advanceTimersByTime(690)
    expect(events).toEqual([])
    vi.advanceTimersByTime(190)
    expect(events).toEqual(['timeout a'])
  })
})

describe('a wait for window slots', () => {
  test('ends for one part per free slot, for urgent parts first, then for the others in order', () => {
    const { room, events } = makeRoom()
    const group = makeGroup(0)
    const other = makeGroup(0)
    for (const name of ['a', 'b', 'c']) room.waitForSlot(makeText(name, { group }), 0)
    room.waitForSlot(makeText('other', { group: other }), 0)
    room.waitForSlot(makeText('urgent', { group, isUrgent: true }), 0)
    room.slotsFreed(group)
    expect(events).toEqual([])
    group.free = 2
    room.slotsFreed(group)
    expect(events).toEqual(['urgent', 'a'])
    group.free = 5
    room.slotsFreed(group)
    expect(events).toEqual(['urgent', 'a', 'b', 'c'])
  })

  test('times out after 0.7 s for a single part', () => {
    const { room, events } = makeRoom()
    room.waitForSlot(makeText('alone'), 0)
    vi.advanceTimersByTime(690)
    expect(events).toEqual([])
    vi.advanceTimersByTime(190)
    expect(events).toEqual(['timeout alone'])
  })

  test('times out only for parts that have waited for 0.7 s', () => {
    const { room, events } = makeRoom()
    const group = makeGroup(0)
    room.waitForSlot(makeText('early', { group }), 0)
    vi.advanceTimersByTime(600)
    room.waitForSlot(makeText('late', { group }), 0)
    vi.advanceTimersByTime(290)
    expect(events).toEqual(['timeout early'])
    group.free = 2
    room.slotsFreed(group)
    expect(events).toEqual(['timeout early', 'late'])
    vi.advanceTimersByTime(5_000)
    expect(events).toHaveLength(2)
  })
})

describe('a wait for a delay', () => {
  test('ends for remaining parts, which can be put back and taken again', () => {
    const { room, events } = makeRoom()
    const [later, now] = [makeText('later'), makeText('now')]
    room.waitWithRemaining(later, 500)
    room.waitWithRemaining(now, 0)
    const [remaining] = room.takeRemaining()
    expect(remaining?.text).toBe(now)
    expect(room.takeRemaining()).toEqual([])
    vi.advanceTimersByTime(1)
    expect(events).toEqual(['change'])
    if (remaining) room.putBack(remaining)
    vi.advanceTimersByTime(498)
    expect(events).toEqual(['change'])
    vi.advanceTimersByTime(1)
    expect(events).toEqual(['change', 'change'])
    expect(room.takeRemaining().map(({ text }) => nameOf(text))).toEqual(['now', 'later'])
  })

  test('ends together for texts of one chunk that must be unmarked, with the longest of their retry delays', () => {
    const { room, unmarked } = makeRoom()
    const [{ chunk }, { chunk: other }] = [makeChunk(), makeChunk()]
    room.waitForUnmark(chunk, recipient(1), 50)
    room.waitForUnmark(chunk, recipient(2), 500)
    room.waitForUnmark(other, recipient(3), 50)
    expect(unmarked).toEqual([])
    vi.advanceTimersByTime(5)
    expect(unmarked).toEqual([
      { recipients: [recipient(1), recipient(2)], delayMs: 500 },
      { recipients: [recipient(3)], delayMs: 50 },
    ])
    room.waitForUnmark(chunk, recipient(4), 50)
    vi.advanceTimersByTime(5)
    expect(unmarked).toHaveLength(3)
  })

  test('ends for requeued recipients in the order of their delays', () => {
    const { room, events } = makeRoom()
    const { chunk, requeued, delayed } = makeChunk()
    room.waitForRetry(chunk, [recipient(1)], 500)
    room.waitForRetry(chunk, [recipient(2)], 100)
    room.waitForRetry(chunk, [recipient(3)], 0)
    expect(delayed()).toBe(3)
    expect(requeued).toEqual([[recipient(3)]])
    vi.advanceTimersByTime(100)
    expect(requeued).toEqual([[recipient(3)], [recipient(2)]])
    vi.advanceTimersByTime(399)
    expect(requeued).toHaveLength(2)
    vi.advanceTimersByTime(1)
    expect(requeued.at(-1)).toEqual([recipient(1)])
    expect(events).toEqual(['change', 'change'])
  })
})
