/** The logo. */
export function Bell({ size }: { size: number }) {
  return <img src="/favicon.svg" width={size} height={size} alt="" />
}
