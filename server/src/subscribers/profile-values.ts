import { readDate } from '../lib/dates.ts'

// Reads values of a profile as people and programs write them, in files and in bodies. Each function returns undefined for
// a text that has no meaning or more than one.

/** Returns a date as YYYYMMDD; the time of day of a timestamp is ignored. */
export function readBirthdate(text: string): string | undefined {
  const day = text
    .trim()
    .replace(/(?:[T ]|, )\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:\s?[AP]M)?(?:\s?(?:Z|UTC|[+-]\d\d:?\d\d))?$/i, '')
  return readDate(day.replace(/(?<=^\d{8})\.0+$/, ''))?.replaceAll('-', '')
}

const fiveDigits = /^\d{5}$/

/** Returns the five digits of a US code, also of a ZIP+4, and any other code without spaces, with at most six characters. */
export function readZipCode(text: string): string | undefined {
  if (fiveDigits.test(text)) return text
  const compact = text.replace(/\s/g, '').replace(/^'/, '')
  const digits = /^(\d{5})(?:-?\d{4}|-|\.0+)?$/.exec(compact)?.[1] ?? /^(\d{5})\d{4}\.0+$/.exec(compact)?.[1]
  if (digits !== undefined) return digits
  const canadian = /^([a-z]\d[a-z])-?(\d[a-z]\d)$/i.exec(compact)
  if (canadian) return `${canadian[1]}${canadian[2]}`
  return compact.length <= 6 && !/[.,]/.test(compact) ? compact : undefined
}

const genders: Readonly<Record<string, 'Male' | 'Female'>> = {
  male: 'Male',
  m: 'Male',
  man: 'Male',
  female: 'Female',
  f: 'Female',
  woman: 'Female',
}

export function readGender(text: string): 'Male' | 'Female' | undefined {
  const word = text.trim().toLowerCase()
  return Object.hasOwn(genders, word) ? genders[word] : undefined
}
