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
const troubled = (part: number, status = 8): TextEvent => ({ kind: 'troubled', part, status })
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
  ['an SMSC in trouble, first attempt', 1, 1, [troubled(0)], { name: 'delayed', delayMs: retryDelaysMs[0] }, 0],
  ['an SMSC in trouble, last retry', 1, 1, [troubled(0)], { name: 'delayed', delayMs: retryDelaysMs[3] }, 3],
  ['an SMSC in trouble, no retry left', 1, 1, [troubled(0, 8)], { name: 'rejected', status: 8 }, 4],

  ['a response is missing', 2, 2, [accepted], { name: 'submitting', outstanding: 1, accepted: 1 }],
  ['all parts are accepted', 3, 3, [accepted, accepted, accepted], { name: 'accepted' }],
  ['one of two is rejected', 2, 2, [accepted, rejected(11)], { name: 'rejected', status: 11, accepted: 1 }],
  ['the first rejection counts', 2, 2, [rejected(11), rejected(12)], { name: 'rejected', status: 11 }],
  ['a rejection is more than a lost response', 2, 2, [unconfirmed, rejected(11)], { name: 'rejected', status: 11 }],
  ['a lost response is more than a throttled part', 2, 2, [throttled(0), unconfirmed], { name: 'unknown' }],
  ['a lost response is more than trouble', 2, 2, [troubled(0), unconfirmed], { name: 'unknown' }],
  ['all are throttled', 2, 2, [throttled(0), throttled(1)], { name: 'requeued', delayMs: throttledRetryMs }],
  [
    'throttled after a part that was not written',
    2,
    2,
    [returned(0), throttled(1)],
    { name: 'requeued', delayMs: throttledRetryMs },
  ],
  [
    'not written after a throttled part',
    2,
    2,
    [throttled(0), returned(1)],
    { name: 'requeued', delayMs: throttledRetryMs },
  ],

  [
    'one of two is throttled',
    2,
    2,
    [accepted, throttled(1)],
    { name: 'partial', accepted: 1, pending: [1], delayMs: throttledRetryMs, partRetries: 0 },
  ],
  ['window slots for two of four', 4, 2, [accepted, accepted], { name: 'partial', pending: [2, 3], delayMs: 0 }],
  [
    'the rest follows piece by piece',
    4,
    2,
    [accepted, accepted, resumed(1), accepted],
    { name: 'partial', accepted: 3, pending: [3], delayMs: 0 },
  ],
  ['the rest is accepted', 2, 2, [accepted, throttled(1), resumed(1), accepted], { name: 'accepted' }],
  [
    'the rest is resumed',
    3,
    1,
    [accepted, resumed(2)],
    { name: 'submitting', outstanding: 2, accepted: 1, pending: [] },
  ],
  ['the rest may not follow', 2, 2, [accepted, throttled(1), abandoned], { name: 'unknown', accepted: 1 }],
  [
    'trouble with the second part',
    2,
    2,
    [accepted, troubled(1)],
    { name: 'partial', pending: [1], delayMs: partRetryMs, partRetries: 1 },
  ],
  [
    'trouble with the second part, third retry',
    2,
    2,
    [accepted, troubled(1), resumed(1), troubled(1), resumed(1), troubled(1)],
    { name: 'partial', partRetries: 3 },
  ],
  [
    'trouble with the second part, no retry left',
    2,
    2,
    [accepted, troubled(1), resumed(1), troubled(1), resumed(1), troubled(1), resumed(1), troubled(1, 100)],
    { name: 'rejected', status: 100, accepted: 1 },
  ],
  [
    'a throttled part uses up no retry',
    2,
    2,
    [accepted, troubled(1), resumed(1), throttled(1)],
    { name: 'partial', partRetries: 1, delayMs: throttledRetryMs },
  ],

  ['a late response to one part', 1, 1, [unconfirmed, late], { name: 'accepted' }],
  ['one late response of two', 2, 2, [unconfirmed, unconfirmed, late], { name: 'unknown', accepted: 1 }],
  ['both responses late', 2, 2, [unconfirmed, unconfirmed, late, late], { name: 'accepted' }],
  ['a late response before the others', 2, 2, [unconfirmed, late, accepted], { name: 'accepted' }],
  ['a late response to a rejected text', 2, 2, [unconfirmed, rejected(9), late], { name: 'rejected', accepted: 1 }],
]

describe('a text', () => {
  test.each(rows)('%s', (_, parts, handedOver, events, state, attempt) => {
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

test('texts of one part allocate no state for the usual way', () => {
  expect(initialState(1, 1)).toBe(initialState(1, 1))
  expect(stateAfter(1, 1, [accepted])).toBe(stateAfter(2, 2, [accepted, accepted]))
})

test('a transition changes no state in place', () => {
  const state = initialState(2, 2)
  const before = structuredClone(state)
  transition(state, accepted, { parts: 2, attempt: 0 })
  transition(state, throttled(1), { parts: 2, attempt: 0 })
  expect(state).toEqual(before)
})
