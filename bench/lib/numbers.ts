// Phone numbers made up for benches: ten digits, the same ones each time, spread over many area codes as a real list is.
// None has the exchange 555, whose numbers the simulator gives fates of their own.

const areaCodes = Array.from({ length: 800 }, (_, n) => n + 200).filter((code) => code % 10 !== 9 && code % 100 !== 11)
const exchanges = Array.from({ length: 800 }, (_, n) => n + 200).filter((code) => code !== 555 && code % 100 !== 11)
const lines = 10_000
const stride = 3_999_971 // prime, so that stepping by it visits every number of an area once

/** The n-th number; no two below five hundred million are the same. */
export function phoneNumber(n: number): string {
  const area = areaCodes[n % areaCodes.length]
  const rest = (Math.floor(n / areaCodes.length) * stride) % (exchanges.length * lines)
  const exchange = exchanges[Math.floor(rest / lines)]
  return `${area}${exchange}${String(rest % lines).padStart(4, '0')}`
}

const rowsPerBlock = 10_000

/** A file of subscribers for import: the header, then blocks of rows with these numbers and a name each. */
export function* subscribersCsv(count: number): Generator<string> {
  yield 'phone_number,first_name,last_name\n'
  for (let from = 0; from < count; from += rowsPerBlock) {
    let block = ''
    for (let n = from; n < Math.min(count, from + rowsPerBlock); n++) {
      block += `${phoneNumber(n)},${firstNames[n % firstNames.length]},${lastNames[n % lastNames.length]}\n`
    }
    yield block
  }
}

const firstNames = ['Ada', 'Ben', 'Carmen', 'Dan', 'Elena', 'Frank', 'Grace', 'Hassan', 'Ines', 'Jo', 'Kim']
const lastNames = ['Abbot', 'Baker', 'Cruz', 'Diaz', 'Evans', 'Fisher', 'Green', 'Hall', 'Ito', 'Jones', 'King', 'Lee']
