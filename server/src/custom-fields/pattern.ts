import { RE2JS, RE2JSException } from 're2js'
import type { EventLoopTurns } from '../lib/event-loop-turns.ts'
import { maxSourceSize, sourceSizeOf } from './pattern-size.ts'
import { translateRubyPattern } from './ruby-syntax.ts'

// Users supply the patterns, so they run on RE2, which takes linear time for any input: the time is proportional to the
// product of the size of the compiled pattern and the length of the value. That product is limited when a field is saved,
// and for the values of each row or body. Measured in November 2026: up to 35 ns per instruction and character, and up to
// 50 ms to compile the largest patterns.

/** Maximum size of a compiled pattern, in RE2 instructions. */
export const maxProgramSize = 500

/** Maximum number of instructions times characters of one value: at most 4 ms. */
export const maxSteps = 100_000

/** Maximum number of steps for all values of a row or a body: at most 18 ms. */
const maxStepsPerRow = 5 * maxSteps

/** Maximum sum of the source sizes of a list's patterns: at most 1 s to compile, in turns, and 12 MB. */
export const maxListSize = 10 * maxSourceSize

/** Maximum sum of the source sizes of the patterns that a process keeps. */
const maxCachedSize = 2 * maxListSize

/** A field with a pattern; its compiled pattern is found by the object. */
export type PatternRules = { pattern: string | null; isEnforced: boolean }

const cache = new Map<string, RE2JS>()
let cachedSize = 0
const prepared = new WeakMap<PatternRules, RE2JS | 'too large'>()

/** Returns the size of a pattern in RE2 instructions: Infinity if it is too large to be compiled, undefined if it is invalid. */
export function sizeOfPattern(pattern: string): number | undefined {
  try {
    return compile(pattern)?.programSize() ?? Number.POSITIVE_INFINITY
  } catch (error) {
    if (error instanceof RE2JSException) return undefined
    throw error
  }
}

/**
 * Compiles the enforced patterns of a list's fields, in turns, for as long as these objects exist. Returns the size of the
 * largest in instructions. Values of fields beyond `maxListSize` are later rejected for their cost.
 */
export async function preparePatterns(fields: readonly PatternRules[], turns: EventLoopTurns): Promise<number> {
  let left = maxListSize
  let largest = 0
  for (const field of fields) {
    const { pattern, isEnforced } = field
    if (!isEnforced || pattern === null) continue
    left -= sourceSizeOf(translateRubyPattern(pattern))
    const program = left < 0 ? undefined : compile(pattern)
    prepared.set(field, program ?? 'too large')
    largest = Math.max(largest, program?.programSize() ?? 0)
    await turns.yieldIfDue()
  }
  return largest
}

/** Returns the sum of the source sizes of the enforced patterns, which `maxListSize` limits. */
export function sourceSizeOfAll(fields: readonly PatternRules[]): number {
  const patterns = fields.flatMap(({ pattern, isEnforced }) => (isEnforced && pattern !== null ? [pattern] : []))
  return patterns.reduce((sum, pattern) => sum + sourceSizeOf(translateRubyPattern(pattern)), 0)
}

/** Limits the work for the patterns of one row or body, whatever fields the list has. */
export class PatternBudget {
  #left = maxStepsPerRow

  /**
   * Returns whether a field's pattern, if one is enforced, matches anywhere in the value; undefined if that would take too
   * long.
   */
  matches(field: PatternRules, value: string): boolean | undefined {
    const { pattern, isEnforced } = field
    if (!isEnforced || pattern === null) return true
    const program = prepared.get(field) ?? compile(pattern)
    if (program === undefined || program === 'too large') return undefined
    const steps = program.programSize() * value.length
    if (steps > maxSteps || steps > this.#left) return undefined
    this.#left -= steps
    return program.matcher(value).find()
  }
}

/** Returns the compiled pattern; undefined if it is too large. Throws if it is invalid. */
function compile(pattern: string): RE2JS | undefined {
  const known = cache.get(pattern)
  if (known) {
    // the least recently used pattern is the first
    cache.delete(pattern)
    cache.set(pattern, known)
    return known
  }
  const source = translateRubyPattern(pattern)
  const size = sourceSizeOf(source)
  if (size > maxSourceSize) return undefined
  const program = RE2JS.compile(source)
  cachedSize += size
  for (const oldest of cache.keys()) {
    if (cachedSize <= maxCachedSize) break
    cache.delete(oldest)
    cachedSize -= sourceSizeOf(translateRubyPattern(oldest))
  }
  cache.set(pattern, program)
  return program
}
