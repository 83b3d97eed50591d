import { RE2JS, RE2JSException } from 're2js'
import { translateRubyPattern } from './ruby-syntax.ts'

// Users supply the patterns, so they run on RE2, which takes linear time for any input. The length of a value and the
// size of a compiled pattern are bounded here and in values.ts.

/** Maximum size of a compiled pattern, in RE2 instructions. */
const maxProgramSize = 500
const maxCached = 500

const compiled = new Map<string, RE2JS>()

/** Returns whether the pattern compiles to a program that is small enough to run on every value. */
export function isValidPattern(pattern: string): boolean {
  try {
    return compile(pattern).programSize() <= maxProgramSize
  } catch (error) {
    if (error instanceof RE2JSException) return false
    throw error
  }
}

/** Returns whether the pattern matches anywhere in the value. */
export function matchesPattern(pattern: string, value: string): boolean {
  return compile(pattern).matcher(value).find()
}

function compile(pattern: string): RE2JS {
  const cached = compiled.get(pattern)
  if (cached) return cached
  const program = RE2JS.compile(translateRubyPattern(pattern))
  if (compiled.size >= maxCached) compiled.clear()
  compiled.set(pattern, program)
  return program
}
