import { expect, test } from 'vitest'
import { InFlight } from './in-flight.ts'
import { blankPdu, type SubmitSmResp, submitSm } from './pdu/pdu.ts'

const submit = (sequence_number: number) =>
  submitSm({ sequence_number, destination_addr: '12065550100', short_message: Buffer.from('hi') })
const response = (sequence_number: number): SubmitSmResp => ({ ...blankPdu('submit_sm_resp'), sequence_number })
const noop = () => {}

test('sequence numbers restart at 1 after 0x7fffffff (§3.2), and skip numbers in use', () => {
  const inFlight = new InFlight(0x7fff_fffd)
  inFlight.add(submit(1), noop, { writtenAt: 0, deadline: 100 }, true)
  expect([1, 2, 3].map(() => inFlight.nextSequenceNumber())).toEqual([0x7fff_fffe, 0x7fff_ffff, 2])
})

test('matches late responses to the last 4,096 timed-out requests only', () => {
  const inFlight = new InFlight()
  for (let n = 1; n <= 5_000; n++) inFlight.add(submit(n), noop, { writtenAt: 0, deadline: n }, true)
  let overdue = 0
  while (inFlight.takeOverdue(5_000)) overdue++
  expect([overdue, inFlight.size, inFlight.windowSlots]).toEqual([5_000, 0, 0])
  expect(inFlight.takeExpired(response(904))).toBeUndefined()
  expect(inFlight.takeExpired(response(905))?.sequence_number).toBe(905)
  expect(inFlight.takeExpired(response(5_000))?.sequence_number).toBe(5_000)
})

test('does not match a late response to a reused sequence number', () => {
  const inFlight = new InFlight()
  inFlight.add(submit(1), noop, { writtenAt: 0, deadline: 10 }, true)
  inFlight.takeOverdue(10)
  inFlight.add(submit(1), noop, { writtenAt: 0, deadline: 20 }, true)
  expect(inFlight.take(response(1))).toBeDefined()
  expect(inFlight.takeExpired(response(1))).toBeUndefined()
})
