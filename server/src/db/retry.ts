import { isRaceLost } from './pg-errors.ts'

/** Runs a whole transaction again when it lost a deadlock; two batches that lock the same rows can meet so. */
export async function retryLostRaces<T>(transaction: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await transaction()
    } catch (error) {
      if (!isRaceLost(error) || attempt === 5) throw error
    }
  }
}
