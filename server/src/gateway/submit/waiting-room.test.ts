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

/** A room, and what it has reported, one word each. */
function makeRoom() {
  const heard: string[] = []
  const unmarked: Array<{ recipients: Recipient[]; delayMs: number }> = []
  const room = new WaitingRoom({
    onReady(text, _, waitedFor) {
      heard.push(nameOf(text))
      if (waitedFor === 'tokens') text.caps.use(performance.now())
      else (text.group as unknown as Group).free--
    },
    onTimeout: (text) => heard.push(`no ${nameOf(text)}`),
    onUnmark: (_, recipients, delayMs) => unmarked.push({ recipients, delayMs }),
    onChange: () => heard.push('change'),
  })
  return { room, heard, unmarked }
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
  const offered: Recipient[][] = []
  let expected = 0
  const chunk = {
    expect: (count: number) => {
      expected += count
    },
    offerAgain: (recipients: Recipient[]) => offered.push(recipients),
  } as unknown as LeasedChunk
  return { chunk, offered, expected: () => expected }
}

const recipient = (id: number) => ({ id }) as Recipient

/** A cap with this many tokens a second. */
function capOf(limit: number): CapSet {
  const cap = new Cap()
  cap.grant(limit, Number.POSITIVE_INFINITY, performance.now())
  return new CapSet([cap])
}

describe('for tokens', () => {
  test('a token that is far away does not delay those of other caps', () => {
    const { room, heard } = makeRoom()
    const slow = capOf(2)
    for (const name of ['first', 'slow']) {
      slow.reserve(1)
      room.waitForTokens(makeText(name, { caps: slow }), 0)
    }
    vi.advanceTimersByTime(30)
    expect(heard).toEqual(['first'])
    const fast = capOf(1_000)
    fast.reserve(1)
    room.waitForTokens(makeText('fast', { caps: fast }), 0)
    vi.advanceTimersByTime(5)
    expect(heard).toEqual(['first', 'fast'])
    vi.advanceTimersByTime(600)
    expect(heard).toEqual(['first', 'fast', 'slow'])
  })

  test('urgent parts go first, and then all in order', () => {
    const { room, heard } = makeRoom()
    const caps = capOf(1_000)
    caps.reserve(4)
    for (const name of ['a', 'b']) room.waitForTokens(makeText(name, { caps }), 0)
    for (const name of ['c', 'd']) room.waitForTokens(makeText(name, { caps, isUrgent: true }), 0)
    vi.advanceTimersByTime(10)
    expect(heard).toEqual(['c', 'd', 'a', 'b'])
  })

  test('a part whose cap is closed is given up after 0.7 s', () => {
    const { room, heard } = makeRoom()
    const caps = capOf(0)
    room.waitForTokens(makeText('a', { caps }), 0)
    vi.advanceTimersByTime(690)
    expect(heard).toEqual([])
    vi.advanceTimersByTime(190)
    expect(heard).toEqual(['no a'])
  })
})

describe('for window slots', () => {
  test('slots that come free are taken by urgent parts first, then in order, one each', () => {
    const { room, heard } = makeRoom()
    const group = makeGroup(0)
    const other = makeGroup(0)
    for (const name of ['a', 'b', 'c']) room.waitForSlot(makeText(name, { group }), 0)
    room.waitForSlot(makeText('other', { group: other }), 0)
    room.waitForSlot(makeText('urgent', { group, isUrgent: true }), 0)
    room.slotsFreed(group)
    expect(heard).toEqual([])
    group.free = 2
    room.slotsFreed(group)
    expect(heard).toEqual(['urgent', 'a'])
    group.free = 5
    room.slotsFreed(group)
    expect(heard).toEqual(['urgent', 'a', 'b', 'c'])
  })

  test('a part that waits alone is given up after 0.7 s', () => {
    const { room, heard } = makeRoom()
    room.waitForSlot(makeText('alone'), 0)
    vi.advanceTimersByTime(690)
    expect(heard).toEqual([])
    vi.advanceTimersByTime(190)
    expect(heard).toEqual(['no alone'])
  })

  test('a part that has waited 0.7 s is given up, and no other', () => {
    const { room, heard } = makeRoom()
    const group = makeGroup(0)
    room.waitForSlot(makeText('early', { group }), 0)
    vi.advanceTimersByTime(600)
    room.waitForSlot(makeText('late', { group }), 0)
    vi.advanceTimersByTime(290)
    expect(heard).toEqual(['no early'])
    group.free = 2
    room.slotsFreed(group)
    expect(heard).toEqual(['no early', 'late'])
    vi.advanceTimersByTime(5_000)
    expect(heard).toHaveLength(2)
  })
})

describe('for a time', () => {
  test('the rest of a text can be taken when its delay is over, and again when it was put back', () => {
    const { room, heard } = makeRoom()
    const [later, now] = [makeText('later'), makeText('now')]
    room.waitWithRest(later, 500)
    room.waitWithRest(now, 0)
    const [rest] = room.takeRests()
    expect(rest?.text).toBe(now)
    expect(room.takeRests()).toEqual([])
    vi.advanceTimersByTime(1)
    expect(heard).toEqual(['change'])
    if (rest) room.putBack(rest)
    vi.advanceTimersByTime(498)
    expect(heard).toEqual(['change'])
    vi.advanceTimersByTime(1)
    expect(heard).toEqual(['change', 'change'])
    expect(room.takeRests().map(({ text }) => nameOf(text))).toEqual(['now', 'later'])
  })

  test('marks of one chunk are taken back together, with the longest of their delays', () => {
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

  test('recipients are offered again when their delay is over, whatever else waits', () => {
    const { room, heard } = makeRoom()
    const { chunk, offered, expected } = makeChunk()
    room.waitForRetry(chunk, [recipient(1)], 500)
    room.waitForRetry(chunk, [recipient(2)], 100)
    room.waitForRetry(chunk, [recipient(3)], 0)
    expect(expected()).toBe(3)
    expect(offered).toEqual([[recipient(3)]])
    vi.advanceTimersByTime(100)
    expect(offered).toEqual([[recipient(3)], [recipient(2)]])
    vi.advanceTimersByTime(399)
    expect(offered).toHaveLength(2)
    vi.advanceTimersByTime(1)
    expect(offered.at(-1)).toEqual([recipient(1)])
    expect(heard).toEqual(['change', 'change'])
  })
})
