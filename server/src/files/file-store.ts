import type { Readable } from 'node:stream'

/** A stored part of a file. Its name means something only to the store that added it. */
export type FilePart = { name: string; bytes: number }

/** The parts that a file got, in place of its last ones. */
export type AddedParts = { replaced: number; added: FilePart[] }

/** Number of last parts of a file that a store needs in order to append to it. */
export const lastPartsNeeded = 80

/**
 * Where files are stored that others download. A file grows by appending; a list of its parts, which the caller commits after each
 * step, says what belongs to it. What the list does not name is left over from a killed process, and `finish` or `delete` removes it.
 * All methods reject with a StoreError.
 */
export interface FileStore {
  /**
   * Appends the content to a file whose last parts are `last`, and returns its new parts when they are durable. Until the caller has
   * committed them, the former parts are still valid.
   */
  append(folder: string, last: readonly FilePart[], content: AsyncIterable<Buffer>): Promise<AddedParts>
  /** Makes a file readable, removes what is left over in its folder, and returns the parts of the file from now on. Repeatable. */
  finish(folder: string, parts: readonly FilePart[]): Promise<FilePart[]>
  /** Returns whether a finished file exists with its size. */
  has(folder: string, parts: readonly FilePart[]): Promise<boolean>
  /** Returns the bytes `from` to `to`, inclusive, of a finished file. */
  read(folder: string, parts: readonly FilePart[], from: number, to: number): Promise<Readable>
  /** Deletes all that is in a folder, if it exists. */
  delete(folder: string): Promise<void>
}

/** A failure of a file store; the message names neither its location nor a key, so that tenants may read it. */
export class StoreError extends Error {
  /** Whether an operator must act before a repetition can succeed. */
  readonly isPermanent: boolean
  /** The error code of the system or of the store, such as ENOSPC or NoSuchBucket. */
  readonly code: string

  constructor(message: string, code: string, options: { isPermanent: boolean; cause?: unknown }) {
    super(`${message} (${code})`, { cause: options.cause })
    this.name = 'StoreError'
    this.code = code
    this.isPermanent = options.isPermanent
  }
}

/** Returns the size of a file, or of some parts of it. */
export const sizeOf = (parts: readonly Pick<FilePart, 'bytes'>[]): number =>
  parts.reduce((sum, { bytes }) => sum + bytes, 0)
