// Generated phone numbers: ten digits, the same in each run, distributed over many area codes like a real list. None has
// the exchange 555, because the simulator assigns fates to such numbers.

const areaCodes = Array.from({ length: 800 }, (_, n) => n + 200).filter((code) => code % 10 !== 9 && code % 100 !== 11)
const exchanges = Array.from({ length: 800 }, (_, n) => n + 200).filter((code) => code !== 555 && code % 100 !== 11)
const numbersPerExchange = 10_000
const stride = 3_999_971 // prime, so that the steps visit every number of an area once

/** Returns the n-th number; the first five hundred million are distinct. */
export function phoneNumber(n: number): string {
  const area = areaCodes[n % areaCodes.length]
  const rest = (Math.floor(n / areaCodes.length) * stride) % (exchanges.length * numbersPerExchange)
  const exchange = exchanges[Math.floor(rest / numbersPerExchange)]
  return `${area}${exchange}${String(rest % numbersPerExchange).padStart(4, '0')}`
}

const rowsPerBlock = 10_000

/** Generates an import file in blocks: the header, then `count` rows with number and name. */
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
