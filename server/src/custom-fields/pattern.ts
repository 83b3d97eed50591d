import { RE2JS, RE2JSException } from 're2js'

// Patterns are typed by users, so they run on RE2: no input makes it take more than linear time. What is left to bound
// is how long a line is, and the size of the program that a pattern becomes.

const longestProgram = 500
const kept = 500

const compiled = new Map<string, RE2JS>()

/** Whether a pattern is one, and small enough to be run on every value. */
export function isValidPattern(pattern: string): boolean {
  try {
    return compile(pattern).programSize() <= longestProgram
  } catch (error) {
    if (error instanceof RE2JSException) return false
    throw error
  }
}

/** Whether the pattern is found anywhere in the text. */
export function matchesPattern(pattern: string, text: string): boolean {
  return compile(pattern).matcher(text).find()
}

function compile(pattern: string): RE2JS {
  const known = compiled.get(pattern)
  if (known) return known
  const made = RE2JS.compile(pattern)
  if (compiled.size >= kept) compiled.clear()
  compiled.set(pattern, made)
  return made
}
