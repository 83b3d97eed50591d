import { expect, test } from 'vitest'
import { fromHandsetAddress } from './handset-address.ts'

test.each([
  '2065550123',
  '12065550123',
  '+12065550123',
  '0012065550123',
  '+0012065550123',
  '01112065550123',
  '012065550123',
  '00012065550123',
  '1 (206) 555-0123',
  '12065550123 ',
  '12065550123\0\0',
  'tel:+1-206-555-0123',
  '02065550123',
])('%j is +1 206 555 0123', (address) => {
  expect(fromHandsetAddress(address)).toBe(2_065_550_123)
})

test.each([
  '',
  '12345',
  '0055123',
  'CEDAR',
  '442071838750',
  '00442071838750',
  '0112065550123',
  '1206555012',
  '120655501234',
  '0011065550123',
])('%j is no phone number', (address) => {
  expect(fromHandsetAddress(address)).toBeUndefined()
})
