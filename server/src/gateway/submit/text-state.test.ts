import { describe, expect, test } from 'vitest'
import { timing } from '../timing.ts'
import { initialState, type TextEvent, type TextState, transition } from './text-state.ts'

const { partRetryMs, retryDelaysMs, throttledRetryMs, unboundRetryMs } = timing

const accepted: TextEvent = { kind: 'accepted' }
const unconfirmed: TextEvent = { kind: 'unconfirmed' }
const late: TextEvent = { kind: 'accepted late' }
const abandoned: TextEvent = { kind: 'abandoned' }
const rejected = (status: number): TextEvent => ({ kind: 'rejected', status })
const throttled = (part: number): TextEvent => ({ kind: 'throttled', part })
const deferred = (part: number, status = 8): TextEvent => ({ kind: 'deferred', part, status })
const returned = (part: number): TextEvent => ({ kind: 'returned', part })
const resumed = (count: number): TextEvent => ({ kind: 'resumed', count })

function stateAfter(parts: number, handedOver: number, events: TextEvent[], attempt = 0): TextState {
  return events.reduce((state, event) => transition(state, event, { parts, attempt }), initialState(parts, handedOver))
}

type Row = [
  name: string,
  parts: number,
  handedOver: number,
  events: TextEvent[],
  state: Partial<TextState>,
  attempt?: number,
]

const rows: Row[] = [
  ['one part is accepted', 1, 1, [accepted], { name: 'accepted' }],
  ['one part is rejected', 1, 1, [rejected(10)], { name: 'rejected', status: 10 }],
  ['one part has no response', 1, 1, [unconfirmed], { name: 'unknown', accepted: 0 }],
  ['one part is throttled', 1, 1, [throttled(0)], { name: 'requeued', delayMs: throttledRetryMs }],
  ['one part is not written', 1, 1, [returned(0)], { name: 'requeued', delayMs: unboundRetryMs }],
  ['the first attempt gets a temporary error', 1, 1, [deferred(0)], { name: 'delayed', delayMs: retryDelaysMs[0] }, 0],
  [
    'the last but one attempt gets a temporary error',
    1,
    1,
    [deferred(0)],
    { name: 'delayed', delayMs: retryDelaysMs[3] },
    3,
  ],
  ['the last attempt gets a temporary error', 1, 1, [deferred(0, 8)], { name: 'rejected', status: 8 }, 4],

  ['a response is missing', 2, 2, [accepted], { name: 'submitting', outstanding: 1, accepted: 1 }],
  ['all parts are accepted', 3, 3, [accepted, accepted, accepted], { name: 'accepted' }],
  ['one of two parts is rejected', 2, 2, [accepted, rejected(11)], { name: 'rejected', status: 11, accepted: 1 }],
  [
    'two parts are rejected: the first status counts',
    2,
    2,
    [rejected(11), rejected(12)],
    { name: 'rejected', status: 11 },
  ],
  ['one part is rejected and one has no response', 2, 2, [unconfirmed, rejected(11)], { name: 'rejected', status: 11 }],
  ['one part is throttled and one has no response', 2, 2, [throttled(0), unconfirmed], { name: 'unknown' }],
  ['one part gets a temporary error and one has no response', 2, 2, [deferred(0), unconfirmed], { name: 'unknown' }],
  ['all parts are throttled', 2, 2, [throttled(0), throttled(1)], { name: 'requeued', delayMs: throttledRetryMs }],
  [
    'a part is throttled after another was not written',
    2,
    2,
    [returned(0), throttled(1)],
    { name: 'requeued', delayMs: throttledRetryMs },
  ],
  [
    'a part is not written after another was throttled',
    2,
    2,
    [throttled(0), returned(1)],
    { name: 'requeued', delayMs: throttledRetryMs },
  ],

  [
    'one of two parts is throttled',
    2,
    2,
    [accepted, throttled(1)],
    { name: 'partial', accepted: 1, pending: [1], delayMs: throttledRetryMs, partRetries: 0 },
  ],
  [
    'only two of four parts had window slots',
    4,
    2,
    [accepted, accepted],
    { name: 'partial', pending: [2, 3], delayMs: 0 },
  ],
  [
    'the remaining parts are resumed one by one',
    4,
    2,
    [accepted, accepted, resumed(1), accepted],
    { name: 'partial', accepted: 3, pending: [3], delayMs: 0 },
  ],
  ['the remaining part is accepted', 2, 2, [accepted, throttled(1), resumed(1), accepted], { name: 'accepted' }],
  [
    'the remaining parts are resumed',
    3,
    1,
    [accepted, resumed(2)],
    { name: 'submitting', outstanding: 2, accepted: 1, pending: [] },
  ],
  ['the remaining part is abandoned', 2, 2, [accepted, throttled(1), abandoned], { name: 'unknown', accepted: 1 }],
  [
    'the second part gets a temporary error',
    2,
    2,
    [accepted, deferred(1)],
    { name: 'partial', pending: [1], delayMs: partRetryMs, partRetries: 1 },
  ],
  [
    'the second part gets its third temporary error',
    2,
    2,
    [accepted, deferred(1), resumed(1), deferred(1), resumed(1), deferred(1)],
    { name: 'partial', partRetries: 3 },
  ],
  [
    'the second part gets its fourth temporary error',
    2,
    2,
    [accepted, deferred(1), resumed(1), deferred(1), resumed(1), deferred(1), resumed(1), deferred(1, 100)],
    { name: 'rejected', status: 100, accepted: 1 },
  ],
  [
    'a part is throttled after a temporary error',
    2,
    2,
    [accepted, deferred(1), resumed(1), throttled(1)],
    { name: 'partial', partRetries: 1, delayMs: throttledRetryMs },
  ],

  ['a late response arrives for the only part', 1, 1, [unconfirmed, late], { name: 'accepted' }],
  [
    'a late response arrives for one of two parts',
    2,
    2,
    [unconfirmed, unconfirmed, late],
    { name: 'unknown', accepted: 1 },
  ],
  ['late responses arrive for both parts', 2, 2, [unconfirmed, unconfirmed, late, late], { name: 'accepted' }],
  ['a late response arrives before another response', 2, 2, [unconfirmed, late, accepted], { name: 'accepted' }],
  [
    'a late response arrives for a rejected text',
    2,
    2,
    [unconfirmed, rejected(9), late],
    { name: 'rejected', accepted: 1 },
  ],
]

describe('transition', () => {
  test.each(rows)('returns the right state when %s', (_, parts, handedOver, events, state, attempt) => {
    expect(stateAfter(parts, handedOver, events, attempt)).toMatchObject(state)
  })
})

test.each<[string, TextEvent[]]>([
  ['accepted twice', [accepted, accepted]],
  ['rejected after it was accepted', [accepted, rejected(1)]],
  ['resumed while it is submitting', [resumed(1)]],
  ['abandoned while it is submitting', [abandoned]],
  ['accepted while it is requeued', [throttled(0), accepted]],
])('a text cannot be %s', (_, events) => {
  expect(() => stateAfter(1, 1, events)).toThrow('cannot be')
})

test('an accepted text of one part allocates no state', () => {
  expect(initialState(1, 1)).toBe(initialState(1, 1))
  expect(stateAfter(1, 1, [accepted])).toBe(stateAfter(2, 2, [accepted, accepted]))
})

test('a transition does not modify the previous state', () => {
  const state = initialState(2, 2)
  const before = structuredClone(state)
  transition(state, accepted, { parts: 2, attempt: 0 })
  transition(state, throttled(1), { parts: 2, attempt: 0 })
  expect(state).toEqual(before)
})
